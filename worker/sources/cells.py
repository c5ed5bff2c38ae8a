"""Reading what stands in an older system's cells: exactly, or Refused with a code and a sentence. No float is made.

Texts repeat (times in one second, prices, currencies), so what they mean is remembered, within bounds.
"""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from models.money import CURRENCIES
from worker.providers.records import cells
from worker.providers.records.cells import Unreadable
from worker.sources.mapping import LegacyMapping

ROW_ID_LENGTH_MAX = 200
REMEMBERED_MAX = 16_384

_OWNER = re.compile(r"[!-~]{1,128}")
_REASON = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}")
_ISO = re.compile(
    r"\d{4}-?\d\d-?\d\d(?:[T ]\d\d:?\d\d(?::?\d\d(?:[.,]\d{1,6})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_EXACT = re.compile(r"([+-]?\d+)(?:\.(\d+))?", re.ASCII)


class Refused(ValueError):
    """A record cannot be read. `code` is stable; the message names the column and the rule, never what stands there.

    `cells` are those of the record that can be, where its format knows them; the others are empty.
    """

    def __init__(self, code: str, reason: str, cells: Sequence[str] | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.cells = cells


class Number(str):
    """A number by its own type, in JSON or SQL: its mark is a point, and zeros at its end say nothing."""

    __slots__ = ()


def row_id(value: str, column: str) -> str:
    """The row's own id. Raises Refused."""
    if not value:
        raise Refused(
            "no_id", f"the id, {column}, is empty: without an id of its own a row cannot be posted once"
        )
    if len(value) > ROW_ID_LENGTH_MAX or not value.isprintable():
        raise Refused(
            "bad_id", f"the id, {column}, is not a printable text of at most {ROW_ID_LENGTH_MAX} characters"
        )
    return value


def owner(value: str, column: str) -> str:
    """An owner's opaque id. Raises Refused."""
    if _OWNER.fullmatch(value):
        return value
    if not value:
        raise Refused("no_owner", f"the owner, {column}, is empty")
    raise Refused(
        "bad_owner", f"the owner, {column}, is not 1 to 128 printable ASCII characters without spaces"
    )


def reason(value: str, column: str) -> str:
    """What names the house account. Raises Refused."""
    if _REASON.fullmatch(value):
        return value
    if not value:
        raise Refused("no_reason", f"the reason, {column}, is empty")
    raise Refused("bad_reason", f"the reason, {column}, is not 1 to 63 of A-Z, a-z, 0-9 and _.:-")


def currency_refused(value: str, column: str) -> Refused:
    """Why a text that is not in CURRENCIES is no currency."""
    if not value:
        return Refused("no_currency", f"the currency, {column}, is empty")
    return Refused(
        "unknown_currency",
        f"the currency, {column}, is not a code of three capital letters in ISO 4217 that has a minor unit",
    )


def money_reader(mapping: LegacyMapping) -> Callable[[str, str, str], int]:
    """(text, currency, column) -> minor units of either sign. Raises Refused."""
    mark, groups = mapping.decimal_mark, mapping.thousands_separator
    major = mapping.unit == "major"
    number = re.compile(
        rf"[+-]?(\d{{1,3}}(?:{re.escape(groups)}\d{{3}})+)(?:{re.escape(mark)}\d*)?", re.ASCII
    )

    def minor(value: str, currency: str, column: str) -> int:
        places = CURRENCIES[currency] if major else 0
        try:
            if type(value) is Number:
                return cells.scaled(_exact(value) if major else value, places, column)
            if groups and groups in value:
                if number.fullmatch(value) is None:
                    raise Refused("bad_amount", f"{column} is not grouped by threes")
                value = value.replace(groups, "")
            return cells.scaled(value, places, column, mark)
        except Unreadable as unreadable:
            code = "no_amount" if not value else "bad_amount"
            hint = "" if major or mark not in value else ': is it in major units (unit = "major")?'
            raise Refused(code, f"{column} is empty" if not value else f"{unreadable}{hint}") from None

    return lru_cache(REMEMBERED_MAX, typed=True)(minor)


def _exact(value: str) -> str:
    """Without the zeros at its end. What is not a plain decimal stays what it is."""
    if (found := _EXACT.fullmatch(value)) is None:
        return value
    part = (found[2] or "").rstrip("0")
    return f"{found[1]}.{part}" if part else found[1]


def time_reader(mapping: LegacyMapping) -> Callable[[str, str], datetime]:
    """(text, column) -> UTC. Raises Refused."""
    form = mapping.time_format

    def at(value: str, column: str) -> datetime:
        if not value:
            raise Refused("no_time", f"the time, {column}, is empty")
        try:
            if form in ("epoch", "epoch_ms") and type(value) is not Stamp:
                return _epoch(value, 1000 if form == "epoch_ms" else 1)
            found = _iso(value) if form == "iso" or type(value) is Stamp else _formed(value, form)
            return _in_utc(found, mapping, column)
        except (ValueError, OverflowError) as error:
            if isinstance(error, Refused):
                raise
            shape = "an ISO 8601 time" if form == "iso" else f"a time in the form {form}"
            raise Refused("bad_time", f"the time, {column}, is not {shape}") from None

    return lru_cache(REMEMBERED_MAX, typed=True)(at)


class Stamp(str):
    """A time by its own type, in SQL: written as ISO 8601 whatever form the mapping names."""

    __slots__ = ()


def _epoch(value: str, per_second: int) -> datetime:
    seconds, rest = divmod(cells.scaled(value, 0, "the time"), per_second)
    return cells.epoch(seconds, "the time").replace(microsecond=rest * (1_000_000 // per_second))


def _iso(value: str) -> datetime:
    if _ISO.fullmatch(value) is None:
        raise ValueError(value)
    return datetime.fromisoformat(value)


def _formed(value: str, form: str) -> datetime:
    if not value.isascii():
        raise ValueError(value)
    return datetime.strptime(value, form)  # noqa: DTZ007 - its caller gives it its zone


def _in_utc(at: datetime, mapping: LegacyMapping, column: str) -> datetime:
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if mapping.zone is None:
        raise Refused(
            "no_zone", f"the time, {column}, does not say its offset: set timezone, such as 'Europe/Istanbul'"
        )
    return _from_local(at, mapping.zone, mapping.ambiguous, column)


def _from_local(at: datetime, zone: ZoneInfo, ambiguous: str, column: str) -> datetime:
    earlier, later = at.replace(tzinfo=zone, fold=0), at.replace(tzinfo=zone, fold=1)
    if earlier.utcoffset() == later.utcoffset():
        return earlier.astimezone(UTC)
    if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != at:
        raise Refused(
            "no_such_time", f"the time, {column}, never was: clocks in {zone.key} were moved past it"
        )
    if ambiguous == "refuse":
        raise Refused(
            "ambiguous_time",
            f"the time, {column}, was twice, as clocks in {zone.key} went back: set ambiguous to earlier or later",
        )
    return (earlier if ambiguous == "earlier" else later).astimezone(UTC)
