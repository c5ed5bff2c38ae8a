"""Payouts at Stripe, through its SDK: to bank accounts and cards, and transfers to connected accounts.

Destinations: `acct_X` a transfer to that connected account; `acct_X/ba_Y`, `acct_X/card_Y`, `acct_X/default` a payout
of that connected account; `ba_Y`, `card_Y`, `default` a payout of the platform's own account. The SDK makes the
requests and reads the answers; the network is ours (wire.py), so that nothing is tried twice and what was never sent
is known. Stripe replays a saved 500 under the same key, so doubt is ended by looking up, not by asking again.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import stripe

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
    Sighting,
    Submitted,
    Unsure,
)
from worker.providers.payouts.reading import child, retry_after, safe_code
from worker.providers.payouts.stripe_objects import Way, only, reference_of, rows_of, seen, way_to
from worker.providers.payouts.wire import Lost, NotSentAtAll, Wire
from worker.providers.stripe_client import stripe_client
from worker.settings import ProviderSettings

KEY_SECONDS = 24 * 3600
CLOCKS_APART_SECONDS = 2 * 3600
"""How wrong our clock may have been when the payout was sent: "not found" in too short a time would pay twice."""
PAGE_ROWS = 100
PAGES_MAX = 20

_CODES = "docs.stripe.com/error-codes"
_ERRORS = "docs.stripe.com/api/errors"
_INVALID = "invalid_request_error"

# (HTTP status, error.type, error.code) -> what it means. Codes that stand in no row are final when Stripe refused the
# request (400, 402, 404 with a type it documents), else in doubt.
ERRORS: tuple[Row, ...] = (
    Row(429, ANY, ANY, "not_sent", "docs.stripe.com/rate-limits: also lock_timeout; nothing was done"),
    Row(400, ANY, "rate_limit", "not_sent", "stripe-python, specific_v1_api_error: the older form of 429"),
    Row(401, ANY, ANY, "stop", f"{_ERRORS}: no valid API key provided"),
    Row(403, ANY, "account_invalid", "declined_final", f"{_CODES}: this one connected account, not the key"),
    Row(403, ANY, ANY, "stop", f"{_ERRORS}: the API key has no permission"),
    Row(409, ANY, ANY, "in_doubt", f"{_ERRORS}: perhaps the same key is at work in another request"),
    Row(400, "idempotency_error", ANY, "in_doubt", f"{_ERRORS}: another payout lives under this key"),
    Row(400, _INVALID, "idempotency_key_in_use", "in_doubt", f"{_CODES}: another request with it goes on"),
    Row(400, _INVALID, "balance_insufficient", "declined_retryable", f"{_CODES}: not enough balance yet"),
    Row(400, _INVALID, "insufficient_funds", "declined_retryable", f"{_CODES}: as balance_insufficient"),
    Row(400, _INVALID, "payouts_limit_exceeded", "declined_retryable", f"{_CODES}: the daily payout limit"),
    Row(400, _INVALID, "instant_payouts_limit_exceeded", "declined_retryable", f"{_CODES}: the daily limit"),
    Row(400, _INVALID, "payouts_not_allowed", "declined_final", f"{_CODES}: payouts of the account are off"),
    Row(400, _INVALID, "account_closed", "declined_final", f"{_CODES}: the bank account was closed"),
    Row(
        400, _INVALID, "bank_account_unusable", "declined_final", f"{_CODES}: another bank account is needed"
    ),
    Row(400, _INVALID, "no_account", "declined_final", f"{_CODES}: the bank account could not be found"),
    Row(400, _INVALID, ANY, "declined_final", f"{_ERRORS}: the request was refused"),
    Row(402, _INVALID, ANY, "declined_final", f"{_ERRORS}: the parameters were valid, the request failed"),
    Row(402, "card_error", ANY, "declined_final", f"{_ERRORS}: the card cannot be paid to"),
    Row(404, _INVALID, ANY, "declined_final", f"{_CODES}: resource_missing, such as the destination"),
)


def build(
    account: ProviderSettings,  # noqa: ARG001 - one shape for every adapter
    *,
    base_url: str,
    api_key: str,
    timeout_seconds: float,
) -> "StripePayouts":
    """The provider of one account. Connects nothing."""
    client = stripe_client(api_key, Wire(base_url, timeout_seconds), base_url)
    return StripePayouts(client, timeout_seconds)


class StripePayouts:
    """One account at Stripe."""

    def __init__(self, client: stripe.StripeClient, timeout_seconds: float) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds

    def send(self, instruction: Instruction) -> Answer:
        """See PayoutProvider."""
        way = way_to(instruction.destination)
        if way is None:
            return Declined("destination_not_understood", retryable=False)
        try:
            amount = amounts.to_provider(
                "stripe", way.operation, instruction.amount_minor, instruction.currency
            )
        except amounts.NotRepresentable:
            return Declined("amount_not_representable", retryable=False)
        try:
            return _submitted(self._create(instruction, way, amount), instruction, way)
        except NotSentAtAll as error:
            return NotSent(error.code, down=True)
        except Lost as error:
            return InDoubt(error.code)
        except stripe.StripeError as error:
            return errors.answer(ERRORS, _refusal(error))
        except Exception:  # noqa: BLE001 - whatever an SDK makes of an answer, the request was sent
            return InDoubt("unreadable_answer")

    def _create(self, instruction: Instruction, way: Way, amount: int) -> dict[str, Any]:
        params: Any = {
            "amount": amount,
            "currency": instruction.currency.lower(),
            "metadata": {"reference": instruction.reference},
        }
        options: Any = way.options() | {"idempotency_key": instruction.key, "max_network_retries": 0}
        if way.transfer:
            params |= {"destination": way.transfer, "transfer_group": instruction.reference}
            return self._client.v1.transfers.create(params, options).to_dict()
        if way.external:
            params["destination"] = way.external
        return self._client.v1.payouts.create(params, options).to_dict()

    def look_up(
        self, reference: str, *, since: datetime, destination: str, object_id: str | None = None
    ) -> Sighting:
        """See PayoutProvider. By its id when that is known; else by reference, in the account and time it was made."""
        way = way_to(destination)
        if way is None:
            return NotFound()  # `send` declines it
        if object_id is not None:
            return _asked(lambda: seen(self._retrieve(object_id, way), reference, way))
        if way.transfer:
            return _asked(lambda: self._find_transfer(reference, way))
        return _asked(lambda: self._find_payout(reference, way, since))

    def _retrieve(self, object_id: str, way: Way) -> dict[str, Any]:
        options: Any = way.options()
        if way.transfer:
            return self._client.v1.transfers.retrieve(object_id, options=options).to_dict()
        return self._client.v1.payouts.retrieve(object_id, options=options).to_dict()

    def _find_transfer(self, reference: str, way: Way) -> Sighting:
        params: Any = {"transfer_group": reference, "limit": PAGE_ROWS}
        page = self._client.v1.transfers.list(params).to_dict()
        rows = rows_of(page)
        return Unsure("several_found") if page["has_more"] else only(rows, reference, way)

    def _find_payout(self, reference: str, way: Way, since: datetime) -> Sighting:
        """Payouts have no filter for a reference: all those of the time in which the key could make one."""
        first_at = int(since.timestamp())
        window = {
            "gte": first_at - CLOCKS_APART_SECONDS,
            "lte": first_at + KEY_SECONDS + CLOCKS_APART_SECONDS,
        }
        params: dict[str, Any] = {"created": window, "limit": PAGE_ROWS}
        if way.external:
            params["destination"] = way.external
        ours = [row for page in self._pages(params, way) for row in page if reference_of(row) == reference]
        return only(ours, reference, way)

    def _pages(self, params: dict[str, Any], way: Way) -> Iterator[list[dict[str, Any]]]:
        """Newest first, to the end; raises Lost when that is too far."""
        deadline, options = time.monotonic() + self._timeout_seconds, way.options()
        for _ in range(PAGES_MAX):
            page = self._client.v1.payouts.list(params, options).to_dict()  # type: ignore[arg-type]
            rows = rows_of(page)
            yield rows
            if page["has_more"] is False:
                return
            params = params | {"starting_after": rows[-1]["id"]}
            if time.monotonic() > deadline:
                break
        raise Lost("too_many_to_look_through")

    def close(self) -> None:
        """See PayoutProvider."""


def _submitted(body: Mapping[str, Any], instruction: Instruction, way: Way) -> Answer:
    told = seen(body, instruction.reference, way)
    if not isinstance(told, Found):
        return InDoubt("unreadable_answer")
    if (told.amount_minor, told.currency) != (instruction.amount_minor, instruction.currency):
        return InDoubt("other_payout_answered")
    return Submitted(told.object_id, told.status, told.code)


def _refusal(error: stripe.StripeError) -> Refusal:
    status, told = error.http_status or 0, child(error.json_body, "error")
    if 200 <= status < 300:
        return Refusal(status, "unreadable_answer", "")
    if status >= 500:
        return Refusal(status, f"http_{status}", "")
    kind, code = safe_code(told.get("type"), ""), safe_code(told.get("code"), "")
    return Refusal(status, kind, code, retry_after(error.headers or {}))


def _asked(look: Callable[[], Sighting]) -> Sighting:
    """What a look-up found; Unsure for whatever went wrong in it."""
    try:
        return look()
    except (NotSentAtAll, Lost) as error:
        return Unsure(error.code)
    except stripe.StripeError as error:
        return Unsure(_refusal(error).told)
    except Exception:  # noqa: BLE001 - an answer that cannot be read proves nothing
        return Unsure("unreadable_answer")
