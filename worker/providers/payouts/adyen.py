"""Payouts at Adyen, through its SDK: the Transfers API v4, out of the balance account `source_account`.

Destinations: `SE...`, a transfer instrument (a verified bank account); `BA...`, another balance account. The SDK makes
the requests and reads the answers; the network is ours (wire.py), so that what was never sent is known and no redirect
is followed. The SDK takes a 2xx whose body is no JSON for a success with nothing in it: that is in doubt here.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from json import dumps
from typing import Any
from urllib.parse import quote

from Adyen import AdyenClient  # type: ignore[import-untyped]
from Adyen.exceptions import AdyenAPIResponseError  # type: ignore[import-untyped]
from Adyen.services.transfers import TransfersApi  # type: ignore[import-untyped]

from worker.providers.adyen import TRANSFER_MOVES
from worker.providers.payouts import amounts, errors
from worker.providers.payouts.errors import ANY, Refusal, Row
from worker.providers.payouts.port import (
    Answer,
    Declined,
    Found,
    InDoubt,
    Instruction,
    NotFound,
    NotSent,
    ObjectStatus,
    Sighting,
    Submitted,
    Unsure,
)
from worker.providers.payouts.reading import child, retry_after, safe_code, safe_id
from worker.providers.payouts.wire import Lost, NotSentAtAll, Wire
from worker.settings import ProviderSettings, SettingsError

API = "/btl/v4"
CLOCKS_APART = timedelta(days=1)
"""How wrong our clock may be, or have been: "not found" in too short a time would pay twice."""
KEY_VALID = timedelta(days=7)

_IDEMPOTENCY = "docs.adyen.com/development-resources/api-idempotency"
_ERRORS = "docs.adyen.com/development-resources/error-codes"
_SPEC = "github.com/Adyen/adyen-openapi, TransferService-v4"

# (HTTP status, kind, errorCode) -> what it means; kind is `transient` with the header `transient-error: true`, else
# `problem` with an errorCode in the body. What is in no row is in doubt: every other 5xx, and a 4xx without a code.
ERRORS: tuple[Row, ...] = (
    Row(429, ANY, ANY, "not_sent", "docs.adyen.com/development-resources/rate-limits: nothing was done"),
    Row(401, ANY, ANY, "stop", f"{_ERRORS}: the API key is not accepted"),
    Row(403, ANY, ANY, "stop", f"{_ERRORS}: the API key has not the role"),
    Row(503, ANY, "703", "not_sent", f"{_IDEMPOTENCY}: the store of keys is unavailable; not processed"),
    Row(409, ANY, "704", "in_doubt", f"{_IDEMPOTENCY}: a request with this key is in progress"),
    Row(422, ANY, "704", "in_doubt", f"{_IDEMPOTENCY}: a request with this key is in progress"),
    Row(400, "problem", ANY, "declined_final", f"{_ERRORS}: the request was not understood"),
    Row(422, "problem", ANY, "declined_final", f"{_SPEC}: the request failed validation"),
)

# `reason` of a transfer that was refused at once -> another attempt may succeed (TransferService-v4, Transfer.reason)
RETRYABLE_REASONS = frozenset(
    {
        "notEnoughBalance",
        "amountLimitExceeded",
        "counterpartyBankUnavailable",
        "balanceAccountTemporarilyBlockedByTransactionRule",
    }
)

_STATUSES: Mapping[str, ObjectStatus] = {
    "payout_submitted": "submitted",
    "payout_paid": "paid",
    "payout_failed": "failed",
    "payout_returned": "returned",
}
_DESTINATION = re.compile(r"(SE|BA)[A-Za-z0-9]{1,100}")


def build(
    account: ProviderSettings, *, base_url: str, api_key: str, timeout_seconds: float
) -> "AdyenPayouts":
    """The provider of one account. Connects nothing. Raises SettingsError without a source account."""
    if not account.source_account:
        raise SettingsError(
            f"provider {account.name}: set source_account, the balance account (BA...) that payouts leave"
        )
    # the SDK writes -test into addresses unless the platform is live
    client = AdyenClient(xapikey=api_key, platform="live" if "-live" in base_url else "test")
    client.http_client = _WireClient(
        Wire(base_url, timeout_seconds), client.USER_AGENT_SUFFIX + client.LIB_VERSION
    )
    client.http_init = True
    api = TransfersApi(client)
    api.baseUrl = f"{base_url}{API}"
    return AdyenPayouts(api, account.source_account)


class _WireClient:
    """The SDK's way out: one call on the wire. NotSentAtAll and Lost go through the SDK as they are."""

    def __init__(self, wire: Wire, user_agent: str) -> None:
        self._wire = wire
        self.user_agent = user_agent

    def request(
        self, method: str, url: str, json: object, xapikey: str, headers: Mapping[str, str]
    ) -> tuple[str, None, int, Mapping[str, str]]:
        body = None if json is None else dumps(json).encode()
        given = {**headers, "x-api-key": xapikey, "Content-Type": "application/json"}
        reply = self._wire.call_url(method, url, given, body)
        return reply.body.decode("utf-8", "replace"), None, reply.status, reply.headers


class AdyenPayouts:
    """One balance account at Adyen."""

    def __init__(self, api: TransfersApi, source_account: str) -> None:
        self._api = api
        self._source_account = source_account

    def send(self, instruction: Instruction) -> Answer:
        """See PayoutProvider."""
        if not _DESTINATION.fullmatch(instruction.destination):
            return Declined("destination_not_understood", retryable=False)
        try:
            amount = amounts.to_provider("adyen", "payout", instruction.amount_minor, instruction.currency)
        except amounts.NotRepresentable:
            return Declined("amount_not_representable", retryable=False)
        try:
            order = self._order(instruction, amount)
            told = self._api.transfer_funds(order, idempotency_key=instruction.key)
            return _submitted(told.message, instruction)
        except NotSentAtAll as error:
            return NotSent(error.code, down=True)
        except Lost as error:
            return InDoubt(error.code)
        except AdyenAPIResponseError as error:
            return errors.answer(ERRORS, _refusal(error))
        except Exception:  # noqa: BLE001 - whatever an SDK makes of an answer, the request was sent
            return InDoubt("unreadable_answer")

    def _order(self, instruction: Instruction, amount: int) -> dict[str, object]:
        inside = instruction.destination.startswith("BA")
        account = "balanceAccountId" if inside else "transferInstrumentId"
        return {
            "amount": {"value": amount, "currency": instruction.currency},
            "balanceAccountId": self._source_account,
            "category": "internal" if inside else "bank",
            "counterparty": {account: instruction.destination},
            "reference": instruction.reference,
        }

    def look_up(
        self,
        reference: str,
        *,
        since: datetime,
        destination: str,  # noqa: ARG002 - all leave the one balance account
        object_id: str | None = None,
    ) -> Sighting:
        """See PayoutProvider. By its id when that is known; else by reference, in the time the key could make one."""
        if object_id is not None:
            return _asked(lambda: _seen(self._api.get_transfer(quote(object_id, safe="")).message, reference))
        return _asked(lambda: self._find(reference, since))

    def _find(self, reference: str, since: datetime) -> Sighting:
        until = min(since + KEY_VALID, datetime.now(UTC)) + CLOCKS_APART
        query = {
            "balanceAccountId": self._source_account,
            "reference": reference,
            "createdSince": _instant(since - CLOCKS_APART),
            "createdUntil": _instant(until),
            "limit": "100",
        }
        encoded = {name: quote(value, safe="") for name, value in query.items()}  # the SDK does not
        page = self._api.get_all_transfers(query_parameters=encoded).message
        if not isinstance(page["data"], list) or child(page, "_links").get("next"):
            return Unsure("unreadable_answer")
        ours = [
            row for row in page["data"] if row["reference"] == reference and row["direction"] != "incoming"
        ]
        if len(ours) > 1:
            return Unsure("several_found")
        return _seen(ours[0], reference) if ours else NotFound()

    def close(self) -> None:
        """See PayoutProvider. Nothing is kept between calls."""


def _submitted(body: Mapping[str, Any], instruction: Instruction) -> Answer:
    seen = _seen(body, instruction.reference)
    if not isinstance(seen, Found):
        return InDoubt(seen.code)
    if (seen.amount_minor, seen.currency) != (instruction.amount_minor, instruction.currency):
        return InDoubt("other_payout_answered")
    if body.get("status") == "refused" and seen.code in RETRYABLE_REASONS:
        return Declined(seen.code, retryable=True)
    return Submitted(seen.object_id, seen.status, seen.code)


def _refusal(error: AdyenAPIResponseError) -> Refusal:
    status, code = int(error.status_code), safe_code(error.error_code, "")
    transient = str(error.headers.get("transient-error", "")).lower() == "true"
    kind = "transient" if transient else "problem" if code else f"http_{status}"
    known = status < 500 or code in ("703", "704")
    return Refusal(status, kind, code if known else f"http_{status}", retry_after(error.headers))


def _asked(look: Callable[[], Sighting]) -> Sighting:
    """What a look-up found; Unsure for whatever went wrong in it."""
    try:
        return look()
    except (NotSentAtAll, Lost) as error:
        return Unsure(error.code)
    except AdyenAPIResponseError as error:
        return Unsure(f"http_{error.status_code}")
    except Exception:  # noqa: BLE001 - an answer that cannot be read proves nothing
        return Unsure("unreadable_answer")


def _seen(transfer: Mapping[str, Any], reference: str) -> Found | Unsure:
    amount, object_id = child(transfer, "amount"), safe_id(transfer.get("id"))
    status = _STATUSES.get(str(TRANSFER_MOVES.get(str(transfer.get("status")))))
    value, currency = amount.get("value"), str(amount.get("currency"))
    if (
        object_id is None
        or status is None
        or type(value) is not int
        or transfer.get("reference") != reference
    ):
        return Unsure("unreadable_answer")
    try:
        amount_minor = amounts.from_provider("adyen", "payout", value, currency)
    except amounts.NotRepresentable:
        return Unsure("unreadable_answer")
    code = safe_code(transfer.get("reason"), "") if status in ("failed", "returned") else ""
    return Found(object_id, status, amount_minor, currency, code or None)


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
