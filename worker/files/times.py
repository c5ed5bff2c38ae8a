"""Times as people's files write them, in UTC, exactly or Refused. A zone that a row names is resolved, never dropped.

strptime reads %Z and forgets it; so a name of a zone is taken out here, and resolved: first as the account's own zone
has it at that time (which also says which of two equal hours it is), then as an offset, then as an abbreviation that
means one thing only, then as an IANA name.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from worker.files import cells
from worker.files.errors import Refused, Unreadable

REMEMBERED_MAX = 16_384
Ambiguous = Literal["refuse", "earlier", "later"]
TimeReader = Callable[[str, str], datetime]
"""(text, column) -> UTC. Raises Refused."""

# Abbreviations that mean one thing only in reports of settlement, as hours from UTC. CST, IST and AST are missing on
# purpose: they are several zones, and only the account's own zone can tell which.
ABBREVIATIONS: Mapping[str, float] = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 1, "BST": 1, "CET": 1, "CEST": 2, "EET": 2, "EEST": 3,
    "MSK": 3, "TRT": 3, "GST": 4, "SGT": 8, "HKT": 8, "AWST": 8, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11,
    "NZST": 12, "NZDT": 13, "EST": -5, "EDT": -4, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "BRT": -3,
}  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"\d{4}-?\d\d-?\d\d(?:[T ]\d\d:?\d\d(?::?\d\d(?:[.,]\d{1,9})?)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?", re.ASCII
)
_LOCAL = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?", re.ASCII)
_DIRECTIVE = re.compile(r"%(.)", re.DOTALL)
_LABEL = re.compile(
    r"[A-Za-z][A-Za-z_]*(?:/[A-Za-z_+-]+[0-9]*)*(?:[+-]\d{1,2}(?::?\d\d)?)?|[+-]\d\d(?::?\d\d)?"
)
_OFFSET = re.compile(r"(?:UTC|GMT)?([+-])(\d{1,2})(?::?(\d\d))?", re.ASCII)
_CLOCK = frozenset("HIMSfpcXTRrs")
"""Directives of strptime that read a time of day; a form without any reads a date alone."""
_DATE_LENGTH_MAX = len("2026-11-30")
_SAMPLE = datetime(2026, 11, 30, 13, 45, 0, tzinfo=UTC)


class Stamp(str):
    """A time by its own type, in SQL: written as ISO 8601 whatever form the mapping names."""

    __slots__ = ()


def known_zone(name: str) -> str:
    """The name of an IANA time zone. Raises ValueError."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as 'Europe/Istanbul'") from error
    return name


def time_form(form: str) -> str:
    """A form that times can be read by: tried once, so that no row meets a broken one. Raises ValueError."""
    if form in ("iso", "epoch", "epoch_ms"):
        return form
    directives = _DIRECTIVE.findall(form)
    if directives.count("Z") > 1 or {"Z", "z"} <= set(directives):
        raise ValueError("time_format may have one of %Z (a zone's name) and %z (an offset), and once")
    try:
        read = _formed(_SAMPLE.strftime(form), form, None)
    except (ValueError, LookupError, re.error):
        read = None
    if read is None or read.date() != _SAMPLE.date() or read.hour not in (0, _SAMPLE.hour):
        raise ValueError(
            "time_format is iso, epoch, or a form of strptime with a whole date, '%d/%m/%Y %H:%M'; epoch_ms, too; "
            "and %I needs %p"
        )
    return form


def time_reader(form: str, zone: ZoneInfo | None, ambiguous: Ambiguous) -> TimeReader:
    """`zone` is that of times without one; None refuses them. `ambiguous`: which of two equal hours is meant. A date
    alone is the beginning of its day, also where clocks are moved at midnight."""

    def at(value: str, column: str) -> datetime:
        if not value:
            raise Refused("no_time", f"{column} is empty")
        try:
            if form in ("epoch", "epoch_ms") and type(value) is not Stamp:
                return _of_epoch(value, 1000 if form == "epoch_ms" else 1)
            found, is_date = _read(value, form, zone)
            return _in_utc(found, zone, ambiguous, column, is_date=is_date)
        except LookupError:
            raise Refused(
                "unknown_zone", f"the zone that {column} names is not known, or is several: set timezone"
            ) from None
        except (ValueError, OverflowError) as error:
            if isinstance(error, Refused):
                raise
            shape = "an ISO 8601 time" if form == "iso" else f"a time in the form {form}"
            raise Refused("bad_time", f"{column} is not {shape}") from None

    return lru_cache(REMEMBERED_MAX, typed=True)(at)


def together(parts: Sequence[str]) -> str:
    """A time whose date, time and zone stand in columns of their own, as one text for its form."""
    return " ".join(part for part in parts if part)


def epoch(value: int, column: str) -> datetime:
    """Unix seconds as a time. Raises Unreadable."""
    try:
        return _EPOCH + timedelta(seconds=value)
    except OverflowError:
        raise Unreadable(f"{column} is not a time") from None


def iso_time(value: str, column: str, zone: tzinfo) -> datetime:
    """ISO 8601 in UTC; without an offset it is in `zone`. Raises Unreadable."""
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(f"{column} is not an ISO 8601 time") from None


def labelled_time(value: str, label: str, zone: ZoneInfo, column: str) -> datetime:
    """`YYYY-MM-DD HH:MM:SS` in the zone that `label` names, in UTC; without a label, the account's. Raises Unreadable.

    A local time without a label that happens twice is taken as the first; one that never happens as if the clock had
    not been moved (PEP 495, fold=0).
    """
    if not _LOCAL.fullmatch(value):
        raise Unreadable(f"{column} is not written YYYY-MM-DD HH:MM:SS")
    try:
        local = datetime.fromisoformat(value)
        return (labelled(local, label, zone) if label else local.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Unreadable(f"{column} is not a time") from None
    except LookupError:
        raise Unreadable(f"the time zone of {column} is not known; the account's zone may tell it") from None


def labelled(local: datetime, label: str, zone: ZoneInfo | None) -> datetime:
    """The local time in the zone that is named. Raises LookupError where it is none, or may be several."""
    for fold in (0, 1) if zone is not None else ():
        if (own := local.replace(tzinfo=zone, fold=fold)).tzname() == label:
            return own
    return local.replace(tzinfo=_named_zone(label))


def _named_zone(label: str) -> tzinfo:
    if (offset := _OFFSET.fullmatch(label)) is not None:
        away = timedelta(hours=int(offset[2]), minutes=int(offset[3] or 0))
        return timezone(-away if offset[1] == "-" else away)
    if label in ABBREVIATIONS:
        return timezone(timedelta(hours=ABBREVIATIONS[label]))
    if "/" not in label or len(label) > 64:
        raise LookupError(label)
    try:
        return ZoneInfo(label)
    except (ValueError, OSError):
        raise LookupError(label) from None


def _of_epoch(value: str, per_second: int) -> datetime:
    seconds, rest = divmod(cells.scaled(value, 0, "the time"), per_second)
    return epoch(seconds, "the time").replace(microsecond=rest * (1_000_000 // per_second))


def _read(value: str, form: str, zone: ZoneInfo | None) -> tuple[datetime, bool]:
    """The time as it is written; is it a date alone?"""
    if form == "iso" or type(value) is Stamp:
        return _iso(value), len(value) <= _DATE_LENGTH_MAX
    return _formed(value, form, zone), not _CLOCK & set(_DIRECTIVE.findall(form))


def _iso(value: str) -> datetime:
    if _ISO.fullmatch(value) is None:
        raise ValueError(value)
    return datetime.fromisoformat(value)


def _formed(value: str, form: str, zone: ZoneInfo | None) -> datetime:
    if not value.isascii():
        raise ValueError(value)
    if "Z" not in _DIRECTIVE.findall(form):
        return datetime.strptime(value, form)  # noqa: DTZ007 - its caller gives it its zone
    unlabelled = _DIRECTIVE.sub(lambda found: "" if found[1] == "Z" else found[0], form)
    readings = [
        (found[0], local)
        for found in _LABEL.finditer(value)
        if (local := _local(value[: found.start()] + value[found.end() :], unlabelled)) is not None
    ]
    if len(readings) != 1:
        raise ValueError(value)
    label, local = readings[0]
    return labelled(local, label.upper() if label.islower() and "/" not in label else label, zone)


def _local(value: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(value, form)  # noqa: DTZ007 - its label gives it its zone
    except ValueError:
        return None


def _in_utc(
    at: datetime, zone: ZoneInfo | None, ambiguous: Ambiguous, column: str, *, is_date: bool
) -> datetime:
    if at.tzinfo is not None:
        return at.astimezone(UTC)
    if zone is None:
        raise Refused("no_zone", f"{column} does not say its offset: set timezone, such as 'Europe/Istanbul'")
    if is_date:
        return at.replace(tzinfo=zone).astimezone(
            UTC
        )  # a midnight that never was is when the clocks were moved
    return _from_local(at, zone, ambiguous, column)


def _from_local(at: datetime, zone: ZoneInfo, ambiguous: Ambiguous, column: str) -> datetime:
    earlier, later = at.replace(tzinfo=zone, fold=0), at.replace(tzinfo=zone, fold=1)
    if earlier.utcoffset() == later.utcoffset():
        return earlier.astimezone(UTC)
    if earlier.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != at:
        raise Refused("no_such_time", f"{column} never was: clocks in {zone.key} were moved past it")
    if ambiguous == "refuse":
        raise Refused(
            "ambiguous_time",
            f"{column} was twice, as clocks in {zone.key} went back: set ambiguous to earlier or later",
        )
    return (earlier if ambiguous == "earlier" else later).astimezone(UTC)
