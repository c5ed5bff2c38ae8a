"""Reading fields of a vendor's JSON: what is there in the shape it should have, or NotUnderstood.

An authentic event is never refused for its content: what cannot be read becomes the event's `problem`.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from models.money import BIGINT_MAX, UnknownCurrency
from models.money import exponent as iso_exponent
from worker.providers.event_json import NotUnderstood as NotUnderstood
from worker.providers.event_json import TooDeep
from worker.providers.event_json import json_object as json_object
from worker.providers.port import ProviderEvent

NEEDS_AMOUNT = frozenset(
    {
        "captured",
        "capture_total",
        "refunded",
        "refund_total",
        "refund_voided",
        "released",
        "chargeback",
        "returned",
    }
)
"""Moves that carry their amount; of the others the ledger knows what they undo."""

TEXT_LENGTH_MAX = 255

_ID = re.compile(r"[!-~]{1,200}")
_LABEL = re.compile(r"[\w.:\[\]-]{1,100}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def child(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The object at `name`; empty when it is missing or something else."""
    value = record.get(name)
    return value if isinstance(value, dict) else {}


def label(value: object) -> str:
    """A vendor's name of an event type, safe to log; `unknown` for anything else."""
    return failure_code(value) or "unknown"


def failure_code(value: object) -> str | None:
    """A vendor's word for why something failed, safe to log; None for anything else."""
    return value if isinstance(value, str) and _LABEL.fullmatch(value) else None


def identity(value: object) -> str | None:
    """A vendor's id: 1 to 200 printable ASCII characters; None for anything else."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def need_identity(record: Mapping[str, Any], name: str) -> str:
    """The id at `name`. Raises NotUnderstood."""
    if (value := identity(record.get(name))) is None:
        raise NotUnderstood(f"{name} is missing, or not an id of at most 200 printable ASCII characters")
    return value


def reference(value: object) -> str | None:
    """Our reference as it came back: printable, 1 to 255 characters; None for anything else."""
    if isinstance(value, str) and 0 < len(value) <= TEXT_LENGTH_MAX and value.isprintable():
        return value
    return None


def count(value: object) -> int | None:
    """A whole number from 0 to BIGINT's end; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= BIGINT_MAX else None


def iso_money(
    value: object,
    currency: object,
    exponent: Callable[[str], int] = iso_exponent,
    *,
    may_be_zero: bool = False,
) -> tuple[int, str]:
    """A vendor's amount, counted with its `exponent`, as (ISO minor units, currency): exact or NotUnderstood."""
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        raise NotUnderstood("the currency is missing, or not three letters")
    amount = count(value)
    if amount is None or not (amount or may_be_zero):
        raise NotUnderstood("the amount is missing, or not a whole number from 1 to BIGINT's end")
    try:
        shift = iso_exponent(currency) - exponent(currency)
    except UnknownCurrency:
        raise NotUnderstood(f"{currency} is not an ISO 4217 currency with a minor unit") from None
    minor, rest = divmod(amount * 10 ** max(shift, 0), 10 ** max(-shift, 0))
    if rest or minor > BIGINT_MAX:
        raise NotUnderstood(
            f"the amount is no whole number of {currency}'s ISO 4217 minor units within BIGINT"
        )
    return minor, currency


def epoch_time(value: object) -> str | None:
    """Unix seconds as ISO 8601 in UTC; None when they are no time."""
    seconds = count(value)
    try:
        return None if seconds is None else (_EPOCH + timedelta(seconds=seconds)).isoformat()
    except OverflowError:
        return None


def utc_time(value: object) -> str | None:
    """An ISO 8601 text with an offset, in UTC; None when it is no time, or does not say its zone."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        return time.astimezone(UTC).isoformat() if time and time.tzinfo else None
    except (ValueError, OverflowError):
        return None


def event(event_key: str, type_: str, **known: Any) -> ProviderEvent:
    """An event of which only `known` is known so far."""
    blank = dict.fromkeys(
        ("move", "reference", "object_id", "part_id", "amount_minor", "currency", "sequence", "occurred_at")
    )
    return ProviderEvent(event_key=event_key, type=type_, **(blank | known))


def unidentified_key(body: bytes, position: int = 0) -> str:
    """The identity of an event that brought none: what it says, and where in the body."""
    suffix = f":{position}" if position else ""
    return f"sha256:{hashlib.sha256(body).hexdigest()}{suffix}"


def events_of(
    body: bytes, read: Callable[[Mapping[str, Any]], tuple[ProviderEvent, ...]]
) -> tuple[ProviderEvent, ...]:
    """The events of a body that was signed as a whole, by `read`. Raises MalformedEvent: it is no JSON object."""
    key = unidentified_key(body)
    try:
        envelope = json_object(body)
    except TooDeep as reason:
        return (unreadable(key, reason),)
    try:
        return read(envelope)
    except NotUnderstood as reason:
        return (unreadable(key, reason),)


def identified(key: str, read: Callable[[], ProviderEvent]) -> ProviderEvent:
    """The event by `read`; one with a problem, known by `key`, where not even what identifies it can be read."""
    try:
        return read()
    except NotUnderstood as reason:
        return unreadable(key, reason)


def unreadable(key: str, reason: Exception) -> ProviderEvent:
    """An authentic event of which nothing is known but its bytes."""
    return event(key, "unknown", problem=f"unknown: {reason}")


def understood(seen: ProviderEvent, details: Callable[[], Mapping[str, Any]]) -> ProviderEvent:
    """`seen` with `details()`, or with the reason why they could not be read."""
    try:
        return replace(seen, **details())
    except NotUnderstood as reason:
        return replace(seen, problem=f"{seen.type}: {reason}")


def unknown_type(seen: ProviderEvent) -> ProviderEvent:
    """An event of which nobody knows whether it moves money: it is kept for a person."""
    return replace(seen, refusal="unknown_event_type")


def money_of_move(move: str, read: Callable[[], tuple[int, str]]) -> dict[str, Any]:
    """amount_minor and currency: needed for some moves (raises NotUnderstood), welcome for the others."""
    try:
        amount_minor, currency = read()
    except NotUnderstood:
        if move in NEEDS_AMOUNT:
            raise
        return {}
    return {"amount_minor": amount_minor, "currency": currency}
