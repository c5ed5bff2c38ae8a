"""What callers may send: JSON objects, whole numbers, no unknown fields; bodies are bounded while read."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from starlette.requests import Request

from ops.sandbox.faults import Where, parse_fault, token_in
from ops.sandbox.problems import ProblemError

BIGINT_MAX = 2**63 - 1
_KEY = re.compile(r"[ -~]{1,255}")

Amount = Annotated[int, Field(strict=True, ge=1, le=BIGINT_MAX)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Token = Annotated[str, Field(pattern=r"^[!-~]{1,255}$")]
Seconds = Annotated[float, Field(ge=0, le=10_000_000)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PayoutOrder(Body):
    """`fault` is the one that the destination asks for, such as `fault:decline_retryable:2`."""

    reference: Token
    amount_minor: Amount
    currency: Currency
    destination: Token

    @property
    def fault(self) -> str | None:
        return token_in(self.destination)

    @field_validator("destination")
    @classmethod
    def _knows_fault(cls, value: str) -> str:
        token_in(value)
        return value


class Metadata(Body):
    fault: Token | None = None

    @field_validator("fault")
    @classmethod
    def _knows_fault(cls, value: str | None) -> str | None:
        if value is not None:
            parse_fault(value)
        return value


class DepositOrder(Body):
    """`fail`: the payer's bank refused. `capture` false: pending until `/capture` or `/fail`."""

    reference: Token
    amount_minor: Amount
    currency: Currency
    fail: bool = False
    capture: bool = True
    metadata: Metadata = Metadata()

    @property
    def fault(self) -> str | None:
        """What `metadata.fault` says, else the reference's own ending `~fault:NAME`."""
        return self.metadata.fault or token_in(self.reference)

    @field_validator("reference")
    @classmethod
    def _knows_fault(cls, value: str) -> str:
        token_in(value)
        return value


class Part(Body):
    """A refund or a chargeback; without an amount, all that is left."""

    amount_minor: Amount | None = None


class Nothing(Body):
    pass


class Settlement(Body):
    status: Literal["paid", "failed", "returned"]


class FaultOrder(Body):
    fault: Annotated[str, Field(max_length=200)]
    scope: Where | None = None
    count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None


class SettingsChange(Body):
    settle_seconds: Seconds | None = None
    visibility_seconds: Annotated[float, Field(ge=0, le=10)] = 0.0
    webhook_url: Annotated[str, Field(pattern=r"^https?://[!-~]{1,500}$")] | None = None


class ClockChange(Body):
    advance_seconds: Seconds


class Wait(Body):
    timeout_seconds: Annotated[float, Field(ge=0, le=300)] = 30.0


class RawEvent(Body):
    """Any event at all: unknown objects, stale sequences, moves that cannot be."""

    type: Token
    data: dict[str, Any]


B = TypeVar("B", bound=Body)


async def read_json(request: Request, limit_bytes: int) -> dict[str, Any]:
    """The JSON object in the body; an empty body is `{}`. Raises `ProblemError` 400, 413 or 415."""
    raw = await _read(request, limit_bytes)
    if not raw:
        return {}
    if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ProblemError(415, "unsupported_media_type", "send application/json")
    try:
        value = json.loads(raw, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ProblemError(400, "malformed_json", "the body is not JSON") from None
    if not isinstance(value, dict):
        raise ProblemError(400, "malformed_json", "the body is not a JSON object")
    return value


def checked(model: type[B], value: dict[str, Any]) -> B:
    """`value` as `model`. Raises `ProblemError` 422 with a pointer for each error, and without the values."""
    try:
        return model.model_validate(value)
    except ValidationError as exc:
        errors = [
            {"pointer": "".join(f"/{part}" for part in error["loc"]), "message": error["msg"]}
            for error in exc.errors()
        ]
        raise ProblemError(422, "invalid_request", "the body does not fit", errors=errors) from None


def idempotency_key(request: Request, *, required: bool) -> str | None:
    """The `Idempotency-Key` header: 1 to 255 printable ASCII. Raises `ProblemError` 400."""
    key = request.headers.get("idempotency-key")
    if key is None:
        if required:
            raise ProblemError(400, "missing_idempotency_key", "send an Idempotency-Key header")
        return None
    if not _KEY.fullmatch(key):
        raise ProblemError(
            400, "bad_idempotency_key", "Idempotency-Key is 1 to 255 printable ASCII characters"
        )
    return key


def instant(request: Request, name: str) -> datetime | None:
    """A query parameter that is an RFC 3339 time, or a date (midnight UTC). Raises `ProblemError` 400."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise ProblemError(400, "bad_time", f"{name} is not an RFC 3339 time or a date") from None
    if at.tzinfo is not None:
        return at
    if len(text) > len("2026-11-02"):
        raise ProblemError(400, "bad_time", f"{name} has no offset: end it in Z or +hh:mm")
    return at.replace(tzinfo=UTC)


async def _read(request: Request, limit_bytes: int) -> bytes:
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > limit_bytes:
            raise ProblemError(413, "body_too_large", f"the body is over {limit_bytes} bytes")
    return bytes(raw)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
