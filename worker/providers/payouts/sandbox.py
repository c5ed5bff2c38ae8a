"""Payouts at the sandbox provider: `POST /payouts` with a key, `GET /payouts?reference=` to look up."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args
from urllib.parse import urlencode

from worker.providers.payouts import errors
from worker.providers.payouts.errors import ANY, Refusal, Row
from worker.providers.payouts.port import (
    Answer,
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
from worker.providers.payouts.reading import json_answer, retry_after, safe_code, safe_id
from worker.providers.payouts.wire import Lost, NotSentAtAll, Reply, Wire
from worker.settings import ProviderSettings

STATUSES: Mapping[object, ObjectStatus] = {status: status for status in get_args(ObjectStatus)}

_README = "ops/sandbox/README.md"

# (HTTP status, kind, `code` of the body) -> what it means. What is in no row is in doubt. Missing on purpose: 422
# idempotency_key_reused (another payout lives under this key), 404 (not the sandbox's address) and every 5xx.
ERRORS: tuple[Row, ...] = (
    Row(429, ANY, ANY, "not_sent", f"{_README}: rate_limit, no money moves"),
    Row(401, ANY, ANY, "stop", f"{_README}: everything wants the bearer key"),
    Row(403, ANY, ANY, "stop", f"{_README}: everything wants the bearer key"),
    Row(402, "retryable", ANY, "declined_retryable", f"{_README}: declined, retryable true"),
    Row(402, "final", ANY, "declined_final", f"{_README}: declined, retryable false"),
    Row(400, ANY, "malformed_json", "declined_final", f"{_README}: refused requests leave the key free"),
    Row(400, ANY, "missing_idempotency_key", "declined_final", f"{_README}: the same"),
    Row(400, ANY, "bad_idempotency_key", "declined_final", f"{_README}: the same"),
    Row(413, ANY, "body_too_large", "declined_final", f"{_README}: the same"),
    Row(415, ANY, "unsupported_media_type", "declined_final", f"{_README}: the same"),
    Row(422, ANY, "invalid_request", "declined_final", f"{_README}: the same"),
)


def build(
    account: ProviderSettings,  # noqa: ARG001 - one shape for every adapter
    *,
    base_url: str,
    api_key: str,
    timeout_seconds: float,
) -> "SandboxPayouts":
    """The provider of one account. Connects nothing."""
    return SandboxPayouts(Wire(base_url, timeout_seconds), api_key)


class SandboxPayouts:
    """One account at a sandbox."""

    def __init__(self, wire: Wire, api_key: str) -> None:
        self._wire = wire
        self._headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

    def send(self, instruction: Instruction) -> Answer:
        """See PayoutProvider."""
        order = {
            "reference": instruction.reference,
            "amount_minor": instruction.amount_minor,
            "currency": instruction.currency,
            "destination": instruction.destination,
        }
        headers = self._headers | {"Idempotency-Key": instruction.key}
        try:
            reply = self._wire.call("POST", "/payouts", headers, json.dumps(order).encode())
        except NotSentAtAll as error:
            return NotSent(error.code, down=True)
        except Lost as error:
            return InDoubt(error.code)
        return _answer(reply, instruction)

    def look_up(
        self,
        reference: str,
        *,
        since: datetime,  # noqa: ARG002 - the sandbox keeps everything
        destination: str,  # noqa: ARG002 - in one place
        object_id: str | None = None,  # noqa: ARG002 - and finds by reference
    ) -> Sighting:
        """See PayoutProvider."""
        try:
            reply = self._wire.call("GET", f"/payouts?{urlencode({'reference': reference})}", self._headers)
        except (NotSentAtAll, Lost) as error:
            return Unsure(error.code)
        return _sighting(reply, reference)

    def close(self) -> None:
        """See PayoutProvider."""


def _answer(reply: Reply, instruction: Instruction) -> Answer:
    body = json_answer(reply.body)
    if reply.status == 201:
        return _submitted(body, instruction)
    retryable = body.get("retryable")
    kind = "retryable" if retryable is True else "final" if retryable is False else ""
    code = safe_code(body.get("code"), f"http_{reply.status}")
    return errors.answer(ERRORS, Refusal(reply.status, kind, code, retry_after(reply.headers)))


def _submitted(body: Mapping[str, Any], instruction: Instruction) -> Answer:
    seen = _found(body)
    if seen is None:
        return InDoubt("unreadable_answer")
    ours = (instruction.reference, instruction.amount_minor, instruction.currency)
    if (body.get("reference"), seen.amount_minor, seen.currency) != ours:
        return InDoubt("other_payout_answered")
    return Submitted(seen.object_id, seen.status)


def _sighting(reply: Reply, reference: str) -> Sighting:
    if reply.status != 200:
        return Unsure(f"http_{reply.status}")
    payouts = json_answer(reply.body).get("data")
    if not isinstance(payouts, list):
        return Unsure("unreadable_answer")
    if not payouts:
        return NotFound()
    seen = _found(payouts[0]) if len(payouts) == 1 else None
    if seen is None or payouts[0].get("reference") != reference:
        return Unsure("several_found" if len(payouts) > 1 else "unreadable_answer")
    return seen


def _found(payout: object) -> Found | None:
    if not isinstance(payout, dict):
        return None
    object_id, status = safe_id(payout.get("id")), STATUSES.get(str(payout.get("status")))
    amount, currency = payout.get("amount_minor"), payout.get("currency")
    if object_id is None or status is None or type(amount) is not int or not isinstance(currency, str):
        return None
    return Found(object_id, status, amount, currency)
