"""From the provider's total to the ledger's, step by step; the steps add up exactly, because the facts do. Pure."""

from dataclasses import dataclass
from typing import Literal, get_args

from models.reconciliation.tables import FINDING_KINDS
from tasks.reconciliation.report.facts import Both, CurrencyTotals, FactsDoNotAddUp
from tasks.reconciliation.report.words import KINDS

Look = Literal["total", "waiting", "rise", "fall"]
"""A side's total; a step that is no finding (not due yet, another day, not judged); a finding, up or down."""

LOOKS: tuple[Look, ...] = get_args(Look)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: from where to where, and by how much. A total starts at zero."""

    title: str
    from_minor: int
    to_minor: int
    look: Look

    @property
    def amount_minor(self) -> int:
        return self.to_minor - self.from_minor


def waterfall(totals: CurrencyTotals) -> tuple[Bar, ...]:
    """The provider's total, each part that differs between the sides, the ledger's total."""
    level = totals.total.provider_minor
    bars = [Bar("Provider's total", 0, level, "total")]
    for title, part, is_finding in differing(totals):
        after = level + part.difference_minor
        bars.append(Bar(title, level, after, look(part, is_finding=is_finding)))
        level = after
    if level != totals.total.ledger_minor:
        raise FactsDoNotAddUp(
            f"{totals.currency}: the steps end at {level}, the ledger is {totals.total.ledger_minor}"
        )
    return (*bars, Bar("Ledger's total", 0, level, "total"))


def differing(totals: CurrencyTotals) -> list[tuple[str, Both, bool]]:
    """(title, part, is it a finding?) of each part whose two sides differ."""
    parts = [
        ("Matched on another day", totals.elsewhere, False),
        ("Not due yet", totals.expected, False),
        ("Not judged", totals.unjudged, False),
        *(
            (KINDS[kind].title, totals.findings[kind], True)
            for kind in FINDING_KINDS
            if kind in totals.findings
        ),
    ]
    return [one for one in parts if one[1].difference_minor]


def look(part: Both, *, is_finding: bool) -> Look:
    if not is_finding:
        return "waiting"
    return "rise" if part.difference_minor > 0 else "fall"
