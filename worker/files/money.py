"""Amounts as people's files write them, exactly or Unreadable: 1.234,56 · (12.50) · 12.50- · € 12,50 · $12.00 · USD 5.

A sign stands once, a currency once, and the currency must be the row's own. Zeros beyond the currency's exponent say
nothing, except where they may be a thousand: 1.000 is refused, unless `thousands_separator` says how thousands are
written. 12.5000, 0.500 and 1200.00 (of yen) cannot be thousands.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from models.money import CURRENCIES
from worker.files.cells import Number, bounded
from worker.files.errors import Unreadable
from worker.files.layout import Layout

REMEMBERED_MAX = 16_384
SPACES = " \u00a0\u202f\u2009"
APOSTROPHES = "'\u2019"

DOLLARS = frozenset({
    "USD", "ARS", "AUD", "BBD", "BMD", "BND", "BSD", "BZD", "CAD", "CLP", "COP", "FJD", "GYD", "HKD", "JMD", "KYD",
    "LRD", "MXN", "NAD", "NZD", "SBD", "SGD", "SRD", "TTD", "TWD", "UYU", "XCD",
})  # fmt: skip
SIGNS: Mapping[str, frozenset[str]] = {
    "$": DOLLARS, "US$": frozenset({"USD"}), "A$": frozenset({"AUD"}), "C$": frozenset({"CAD"}),
    "CA$": frozenset({"CAD"}), "HK$": frozenset({"HKD"}), "NZ$": frozenset({"NZD"}), "S$": frozenset({"SGD"}),
    "R$": frozenset({"BRL"}), "MX$": frozenset({"MXN"}), "\u20ac": frozenset({"EUR"}),
    "\u00a3": frozenset({"GBP", "EGP", "FKP", "GIP", "SHP", "SSP", "LBP", "SYP"}),
    "\u00a5": frozenset({"JPY", "CNY"}), "\uffe5": frozenset({"JPY", "CNY"}), "\u20ba": frozenset({"TRY"}),
    "TL": frozenset({"TRY"}), "\u20b9": frozenset({"INR"}), "\u20a9": frozenset({"KRW"}),
    "\u20bd": frozenset({"RUB"}), "\u20aa": frozenset({"ILS"}), "\u20ab": frozenset({"VND"}),
    "\u0e3f": frozenset({"THB"}), "\u20b4": frozenset({"UAH"}), "\u20a6": frozenset({"NGN"}),
    "\u20b1": frozenset({"PHP"}), "\u20b8": frozenset({"KZT"}), "\u20bc": frozenset({"AZN"}),
    "\u20be": frozenset({"GEL"}), "z\u0142": frozenset({"PLN"}), "K\u010d": frozenset({"CZK"}),
    "Ft": frozenset({"HUF"}), "kr": frozenset({"SEK", "NOK", "DKK", "ISK"}), "lei": frozenset({"RON"}),
}  # fmt: skip
"""Which currencies a sign may stand for; a sign that is in no row is refused."""

_EXACT = re.compile(r"([+-]?)(\d{1,19})(?:\.(\d+))?", re.ASCII)
_GAP = f"[{SPACES}]*"
_UNIT = rf"[^0-9()+\-\u2212.,{SPACES}]*"
_SIGN = r"[+\-\u2212]?"
_DECORATED = re.compile(
    rf"(?P<open>\(?){_GAP}(?P<sign>{_SIGN}){_GAP}(?P<before>{_UNIT}){_GAP}(?P<second>{_SIGN}){_GAP}"
    rf"(?P<number>[0-9](?:[0-9.,{APOSTROPHES}{SPACES}]*[0-9])?){_GAP}"
    rf"(?P<behind>{_SIGN}){_GAP}(?P<unit>{_UNIT}){_GAP}(?P<last>{_SIGN}){_GAP}(?P<close>\)?)"
)
_OUTSIDE = re.compile(rf"(?P<before>{_UNIT}){_GAP}(?P<inside>\(.*\)){_GAP}(?P<unit>{_UNIT})")
DECORATED_LENGTH_MAX = 64

MoneyReader = Callable[[str, str, str], int]
"""(text, currency, column) -> minor units of either sign. Raises Unreadable."""


def money_reader(layout: Layout) -> MoneyReader:
    """Remembers what texts mean, since they repeat; within bounds."""
    numbers = _Numbers(layout)

    def minor(value: str, currency: str, column: str) -> int:
        if not value:
            raise Unreadable(f"{column} is empty")
        places = CURRENCIES[currency] if numbers.is_major else 0
        if type(value) is Number:
            return _typed(value, places, column, is_major=numbers.is_major)
        if (found := numbers.plain.fullmatch(value)) is not None:
            return numbers.minor(found[1] == "-", found[2], found[3] or "", places, column)
        is_minus, number = _undecorated(value, currency, column)
        whole, part = numbers.parts(number, column)
        return numbers.minor(is_minus, whole, part, places, column)

    return lru_cache(REMEMBERED_MAX, typed=True)(minor)


class _Numbers:
    """How digits, thousands and decimals are written."""

    def __init__(self, layout: Layout) -> None:
        mark = re.escape(layout.decimal_mark)
        self.is_major = layout.unit == "major"
        self.has_groups = bool(layout.thousands_separator)
        self.plain = re.compile(rf"([+-]?)(\d{{1,19}})(?:{mark}(\d{{1,18}}))?", re.ASCII)
        self._separators = _equivalents(layout.thousands_separator)
        group = f"[{re.escape(self._separators)}]" if self._separators else "(?!)"
        self._grouped = re.compile(rf"(\d{{1,3}}(?:{group}\d{{3}})+)(?:{mark}(\d{{0,18}}))?", re.ASCII)

    def parts(self, number: str, column: str) -> tuple[str, str]:
        """(digits before the mark, digits after it). Raises Unreadable."""
        if (found := self.plain.fullmatch(number)) is not None:
            return found[2], found[3] or ""
        if (grouped := self._grouped.fullmatch(number)) is not None:
            return re.sub(r"\D", "", grouped[1]), grouped[2] or ""
        if any(separator in number for separator in self._separators):
            raise Unreadable(f"{column} is not grouped by threes")
        raise Unreadable(f"{column} is not a plain decimal number{_hint(number, self)}")

    def minor(self, is_minus: bool, whole: str, part: str, places: int, column: str) -> int:
        """Raises Unreadable."""
        if len(part) > places and self.is_major:
            part = self._without_zeros(whole, part, places, column)
        if len(part) > places:
            hint = "" if self.is_major else ': is it in major units (unit = "major")?'
            raise Unreadable(f"{column} has more than {places} digits after the decimal mark{hint}")
        return bounded(is_minus, whole, part.ljust(places, "0"), column)

    def _without_zeros(self, whole: str, part: str, places: int, column: str) -> str:
        if part[places:].strip("0"):
            return part
        may_be_thousands = len(part) == 3 and len(whole) <= 3 and not whole.startswith("0")
        if may_be_thousands and not self.has_groups:
            raise Unreadable(
                f"{column} has more than {places} digits after the decimal mark, and may be thousands: "
                "set thousands_separator, which says how those are written"
            )
        return part[:places]


def _equivalents(separator: str) -> str:
    """Every space is a space, and every apostrophe an apostrophe."""
    for group in (SPACES, APOSTROPHES):
        if separator and separator in group:
            return group
    return separator


def _hint(number: str, numbers: _Numbers) -> str:
    if numbers.has_groups or not any(mark in number for mark in f".,{SPACES}{APOSTROPHES}"):
        return ""
    return ": are decimal_mark and thousands_separator set as the file writes them?"


def _typed(value: str, places: int, column: str, *, is_major: bool) -> int:
    if (found := _EXACT.fullmatch(value)) is None:
        raise Unreadable(f"{column} is not a plain decimal number")
    part = (found[3] or "").rstrip("0") if is_major else found[3] or ""
    if len(part) > places:
        raise Unreadable(f"{column} has more than {places} digits after the decimal mark")
    return bounded(found[1] == "-", found[2], part.ljust(places, "0"), column)


def _undecorated(value: str, currency: str, column: str) -> tuple[bool, str]:
    """(is it minus, its digits and marks), without signs, parentheses and currency. Raises Unreadable."""
    if len(value) > DECORATED_LENGTH_MAX:
        raise Unreadable(f"{column} is not a plain decimal number")
    unit = ""
    if (outside := _OUTSIDE.fullmatch(value)) is not None:
        unit, value = outside["before"] + outside["unit"], outside["inside"]
        _require_own(outside["before"], outside["unit"], currency, column)
    if (found := _DECORATED.fullmatch(value)) is None or bool(found["open"]) != bool(found["close"]):
        raise Unreadable(f"{column} is not a plain decimal number")
    if unit and (found["before"] or found["unit"]):
        raise Unreadable(f"{column} names a currency twice")
    _require_own(found["before"], found["unit"], currency, column)
    signs = "".join(found[part] for part in ("open", "sign", "second", "behind", "last"))
    if len(signs) > 1:
        raise Unreadable(f"{column} has two signs")
    return signs not in ("", "+"), found["number"]


def _require_own(before: str, behind: str, currency: str, column: str) -> None:
    """Raises Unreadable for a currency that is not the row's."""
    if before and behind:
        raise Unreadable(f"{column} names a currency twice")
    if (unit := before or behind) and unit.upper() != currency and currency not in SIGNS.get(unit, ()):
        raise Unreadable(f"{column} has letters or a sign that are not of the row's currency")
