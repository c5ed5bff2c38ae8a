"""What both sides add up to, per currency, and the proof that nothing fell through between them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from models.reconciliation.matching import Sum


@dataclass(frozen=True, slots=True)
class SideTotal:
    """One side of one currency: rows and minor units, of what is judged. Beside it, in no other sum, stand `repeated`,
    records that the feed tells again (of each the newest telling is judged), and `ignored`, records that are compared
    with nothing.

    Minor units are signed as what they add to what the provider owes us.
    """

    rows: int = 0
    minor: int = 0
    matched_rows: int = 0
    matched_minor: int = 0
    expected_rows: int = 0
    expected_minor: int = 0
    findings_rows: int = 0
    findings_minor: int = 0
    repeated_rows: int = 0
    repeated_minor: int = 0
    ignored_rows: int = 0
    ignored_minor: int = 0

    @property
    def adds_up(self) -> bool:
        """Matched, expected and findings are all there is. The parts are counted apart from the whole."""
        rows = self.matched_rows + self.expected_rows + self.findings_rows
        minor = self.matched_minor + self.expected_minor + self.findings_minor
        return (rows, minor) == (self.rows, self.minor)


@dataclass(frozen=True, slots=True)
class CurrencyTotal:
    """Both sides of one currency. `findings` is kind -> side -> (rows, minor)."""

    provider: SideTotal = field(default_factory=SideTotal)
    ledger: SideTotal = field(default_factory=SideTotal)
    findings: Mapping[str, Mapping[str, tuple[int, int]]] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        return self.provider.adds_up and self.ledger.adds_up

    @property
    def elsewhere_minor(self) -> int:
        """What the matched of the provider exceed the matched of the ledger by: counterparts outside the window."""
        return self.provider.matched_minor - self.ledger.matched_minor


Totals = Mapping[str, CurrencyTotal]
"""currency -> total"""

# Status of lines -> the fields that they count for.
COUNTED: Mapping[str, Sequence[str]] = {
    "agreed": ("", "matched_"),
    "in question": ("",),
    "matched": ("matched_",),
    "expected": ("expected_",),
    "finding": ("findings_",),
    "repeated": ("repeated_",),
    "ignored": ("ignored_",),
    "outside": (),
}


def add_up(sums: Sequence[Sum]) -> dict[str, CurrencyTotal]:
    """The totals of these sums, by currency in alphabetical order; a currency in which nothing is judged has none."""
    totals: dict[str, CurrencyTotal] = {}
    for one in sums:
        if one.rows:
            totals[one.currency] = _with(totals.get(one.currency, CurrencyTotal()), one)
    return dict(sorted(totals.items()))


def adds_up(totals: Totals) -> bool:
    """Matched + expected + findings = both sides, in every currency."""
    return all(one.adds_up for one in totals.values())


def as_stored(totals: Totals) -> dict[str, Any]:
    """As the run's row has them."""
    return {currency: asdict(one) for currency, one in totals.items()}


def _with(total: CurrencyTotal, one: Sum) -> CurrencyTotal:
    side: SideTotal = getattr(total, one.side)
    more: dict[str, Any] = {one.side: _counting(side, one)}
    if one.finding is not None and one.status == "finding":
        more["findings"] = _with_finding(total.findings, one.finding, one)
    return replace(total, **more)


def _counting(side: SideTotal, one: Sum) -> SideTotal:
    changes = {}
    for prefix in COUNTED[one.status]:
        changes[f"{prefix}rows"] = getattr(side, f"{prefix}rows") + one.rows
        changes[f"{prefix}minor"] = getattr(side, f"{prefix}minor") + one.minor
    return replace(side, **changes)


def _with_finding(
    findings: Mapping[str, Mapping[str, tuple[int, int]]], kind: str, one: Sum
) -> dict[str, Mapping[str, tuple[int, int]]]:
    sides = {**findings.get(kind, {})}
    rows, minor = sides.get(one.side, (0, 0))
    sides[one.side] = (rows + one.rows, minor + one.minor)
    return {**findings, kind: sides}
