"""Reading what stands in a report: text, money and times, exactly or Unreadable. No float is ever made."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from models.money import BIGINT_MAX, UnknownCurrency
from models.money import exponent as iso_exponent
from worker.providers.payouts import amounts
from worker.providers.records.port import RAW_LENGTH_MAX

TEXT_LENGTH_MAX = 255

_CURRENCY = re.compile(r"[A-Z]{3}")
_NUMBERS = {
    ".": re.compile(r"([+-]?)(\d{1,19})(?:\.(\d{1,6}))?", re.ASCII),
    ",": re.compile(r"([+-]?)(\d{1,19})(?:,(\d{1,6}))?", re.ASCII),
}
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

# Abbreviations that mean one thing only in reports of settlement, as hours from UTC. CST, IST and AST are missing on
# purpose: they are several zones, and only the account's own zone can tell which.
_ABBREVIATIONS: Mapping[str, float] = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3,
    "MSK": 3, "TRT": 3, "GST": 4, "SGT": 8, "HKT": 8, "AWST": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11,
    "NZST": 12, "NZDT": 13, "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "BRT": -3,
}  # fmt: skip


class Unreadable(ValueError):
    """A cell is not what its column promises. The message names the column and the rule."""


def kept(raw: str) -> str:
    """A row's text as it may be kept: cut, and without what PostgreSQL's text cannot hold."""
    return _UNSTORABLE.sub("\ufffd", raw[:RAW_LENGTH_MAX])


def text(value: str, column: str) -> str | None:
    """A short printable text; None when it is empty. Raises Unreadable."""
    if not value:
        return None
    if len(value) > TEXT_LENGTH_MAX or not value.isprintable():
        raise Unreadable(f"{column} is not a printable text of at most {TEXT_LENGTH_MAX} characters")
    return value


def need_text(value: str, column: str) -> str:
    """The same where there must be one. Raises Unreadable."""
    if (found := text(value, column)) is None:
        raise Unreadable(f"{column} is empty")
    return found


def currency(value: str, column: str) -> str:
    """An ISO 4217 code that has a minor unit. Raises Unreadable."""
    if not value:
        raise Unreadable(f"{column} is empty")
    if not _CURRENCY.fullmatch(value):
        raise Unreadable(f"{column} is not a code of three capital letters")
    try:
        iso_exponent(value)
    except UnknownCurrency:
        raise Unreadable(f"{column} is not an ISO 4217 currency with a minor unit") from None
    return value


def scaled(value: str, places: int, column: str, mark: str = ".") -> int:
    """A plain decimal, times ten to the power of `places`. Raises Unreadable.

    More digits after the mark than `places` are refused even when they are zeros: 1.000 may have been a thousand.
    """
    if (found := _NUMBERS[mark].fullmatch(value)) is None:
        raise Unreadable(f"{column} is not a plain decimal number")
    sign, whole, part = found[1], found[2], found[3] or ""
    if len(part) > places:
        raise Unreadable(f"{column} has more than {places} digits after the decimal mark")
    amount = int(whole + part.ljust(places, "0"))
    if amount > BIGINT_MAX:
        raise Unreadable(f"{column} is larger than BIGINT")
    return -amount if sign == "-" else amount


def from_provider(adapter: str, amount: int, code: str, column: str) -> int:
    """An amount of either sign as the provider counts it, in ISO minor units. Raises Unreadable."""
    try:
        minor = amounts.from_provider(adapter, "payout", abs(amount), code)
    except amounts.NotRepresentable:
        raise Unreadable(
            f"{column} has no whole ISO 4217 minor units of its currency within BIGINT"
        ) from None
    return -minor if amount < 0 else minor


def epoch(value: int, column: str) -> datetime:
    """Unix seconds as a time. Raises Unreadable."""
    try:
        return _EPOCH + timedelta(seconds=value)
    except OverflowError:
        raise Unreadable(f"{column} is not a time") from None


def iso_time(value: str, column: str, zone: ZoneInfo) -> datetime:
    """ISO 8601 in UTC; without an offset it is in `zone`. Raises Unreadable."""
    try:
        return in_zone(datetime.fromisoformat(value), zone)
    except (ValueError, OverflowError):
        raise Unreadable(f"{column} is not an ISO 8601 time") from None


def form_time(value: str, column: str, form: str, zone: ZoneInfo) -> datetime:
    """A time in the form of strptime, in UTC; without an offset it is in `zone`. Raises Unreadable."""
    try:
        return in_zone(datetime.strptime(value, form), zone)  # noqa: DTZ007 - the next call gives it its zone
    except (ValueError, OverflowError):
        raise Unreadable(f"{column} is not a time in the form {form}") from None


def in_zone(at: datetime, zone: ZoneInfo) -> datetime:
    """In UTC. A local time that happens twice is taken as the first; one that never happens as if the clock had not
    been moved (PEP 495, fold=0)."""
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def labelled_time(value: str, label: str, zone: ZoneInfo, column: str) -> datetime:
    """`YYYY-MM-DD HH:MM:SS` in the zone that `label` names, in UTC. Raises Unreadable.

    An abbreviation that the account's `zone` uses at that time decides, also which of two equal hours it is; then one
    that has a single meaning; then an IANA name. No label: the account's zone.
    """
    if not _LOCAL.fullmatch(value):
        raise Unreadable(f"{column} is not written YYYY-MM-DD HH:MM:SS")
    try:
        local = datetime.fromisoformat(value)
        return _labelled(local, label, zone).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(f"{column} is not a time") from None
    except LookupError:
        raise Unreadable(f"the time zone of {column} is not known; the account's zone may tell it") from None


def _labelled(local: datetime, label: str, zone: ZoneInfo) -> datetime:
    first, second = local.replace(tzinfo=zone, fold=0), local.replace(tzinfo=zone, fold=1)
    if not label or first.tzname() == label:
        return first
    if second.tzname() == label:
        return second
    if label in _ABBREVIATIONS:
        return local.replace(tzinfo=timezone(timedelta(hours=_ABBREVIATIONS[label])))
    if "/" not in label or len(label) > 64:
        raise LookupError(label)
    try:
        return local.replace(tzinfo=ZoneInfo(label))
    except (ValueError, OSError):
        raise LookupError(label) from None
