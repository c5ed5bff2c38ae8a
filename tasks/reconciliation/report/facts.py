"""What a report is made from: one frozen value, refused when its money does not add up.

Amounts are minor units, signed by what they add to what the provider owes us. Times are aware. Every text may come
from outside and be hostile; whoever shows it escapes it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import reduce
from typing import Literal

from models.base import require_aware
from models.money import exponent
from models.reconciliation.tables import ENDED_STATES, FINDING_KINDS, FINDING_STATES, SEVERITIES

RunState = Literal["done", "truncated", "failed"]
WORST_FIRST = tuple(reversed(SEVERITIES))

NIGHTS_MAX = 30
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class FactsDoNotAddUp(ValueError):
    """The parts are not the whole; a report of them would be a lie."""


@dataclass(frozen=True, slots=True)
class Both:
    """One part of the money, on both sides: what it comes to and in how many rows."""

    provider_minor: int = 0
    ledger_minor: int = 0
    provider_rows: int = 0
    ledger_rows: int = 0

    def __add__(self, other: "Both") -> "Both":
        return Both(
            self.provider_minor + other.provider_minor,
            self.ledger_minor + other.ledger_minor,
            self.provider_rows + other.provider_rows,
            self.ledger_rows + other.ledger_rows,
        )

    @property
    def difference_minor(self) -> int:
        """What the ledger has more than the provider."""
        return self.ledger_minor - self.provider_minor


NOTHING = Both()


@dataclass(frozen=True, slots=True)
class CurrencyTotals:
    """One currency on both sides. `total` is counted by itself and must be the sum of the parts, field by field.

    `matched` has the same money on both sides. `elsewhere` matched a counterpart outside the window. `expected` is
    younger than the grace. `unjudged` is what was left over in a run that concluded nothing (truncated, failed). No
    part of the total are `repeated`, records that the provider told again, and `ignored`, compared with nothing.
    """

    currency: str
    total: Both
    matched: Both = NOTHING
    elsewhere: Both = NOTHING
    expected: Both = NOTHING
    unjudged: Both = NOTHING
    findings: Mapping[str, Both] = field(default_factory=dict)
    repeated: Both = NOTHING
    ignored: Both = NOTHING

    def __post_init__(self) -> None:
        exponent(self.currency)
        refuse_unknown("finding kind", self.findings, FINDING_KINDS)
        if self.matched.difference_minor:
            raise FactsDoNotAddUp(f"{self.currency}: matched differs by {self.matched.difference_minor}")
        found = self.matched + self.elsewhere + self.expected + self.unjudged + self.in_findings
        if found != self.total:
            raise FactsDoNotAddUp(f"{self.currency}: the parts come to {found}, the whole is {self.total}")

    @property
    def in_findings(self) -> Both:
        return reduce(Both.__add__, self.findings.values(), NOTHING)


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of what this run saw and did."""

    records: int = 0
    ledger_rows: int = 0
    matched: int = 0
    expected: int = 0
    bad_rows: int = 0
    opened: int = 0
    seen_again: int = 0
    closed: int = 0


@dataclass(frozen=True, slots=True)
class FindingFacts:
    """One finding. `ours` and `theirs` are the two records, column to value, None for a side that has none.

    `told_elsewhere`: an event whose money another open finding is about, too. `line`: the kind of movement.
    """

    id: int
    kind: str
    severity: str
    state: str
    subject: str
    first_seen_at: datetime
    last_seen_at: datetime
    times_seen: int = 1
    amount_minor: int | None = None
    currency: str | None = None
    ours: Mapping[str, object] | None = None
    theirs: Mapping[str, object] | None = None
    reason: str | None = None
    told_elsewhere: bool = False
    line: str | None = None

    def __post_init__(self) -> None:
        refuse_unknown("finding kind", [self.kind], FINDING_KINDS)
        refuse_unknown("severity", [self.severity], SEVERITIES)
        refuse_unknown("finding state", [self.state], FINDING_STATES)
        require_aware(self.first_seen_at)
        require_aware(self.last_seen_at)
        refuse_half_amount(self.amount_minor, self.currency)

    @property
    def is_open(self) -> bool:
        return self.state == "open"


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """Open findings that are counted here and not listed one by one; `amount_minor` is the sum of absolute amounts,
    `told_elsewhere_minor` the part of it that other open findings are about, too."""

    kind: str
    severity: str
    findings: int
    first_seen_at: datetime
    amount_minor: int | None = None
    currency: str | None = None
    told_elsewhere_minor: int = 0
    line: str | None = None

    def __post_init__(self) -> None:
        refuse_unknown("finding kind", [self.kind], FINDING_KINDS)
        refuse_unknown("severity", [self.severity], SEVERITIES)
        require_aware(self.first_seen_at)
        refuse_half_amount(self.amount_minor, self.currency)


@dataclass(frozen=True, slots=True)
class BadRowFacts:
    """A row of the provider's that could not be read."""

    line: int
    raw: str
    reason: str


@dataclass(frozen=True, slots=True)
class InvariantFacts:
    """One named check of the books; clean when `broken` is 0. `subjects` are the first few that break it."""

    name: str
    meaning: str
    broken: int
    remedy: str
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeesBooked:
    """Fees that the provider took and this run booked."""

    currency: str
    amount_minor: int
    records: int


@dataclass(frozen=True, slots=True)
class SettlementsBooked:
    """What the provider paid out to a bank account of ours, less what came back from it, and this run booked.
    `shown_by`: the provider whose records are to show it; None: nobody's do, it is only expected there."""

    account: str
    currency: str
    amount_minor: int
    records: int
    shown_by: str | None = None


@dataclass(frozen=True, slots=True)
class IgnoredRecords:
    """Records that the provider calls `type`, compared with nothing; `record_ids` are the first few."""

    type: str
    currency: str
    amount_minor: int
    records: int
    record_ids: str = ""


@dataclass(frozen=True, slots=True)
class Night:
    """An earlier run, or this one, in the history."""

    business_date: date
    state: RunState
    matched: int
    findings_open: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that a report says. `problem` is why a truncated or failed run concluded nothing.

    `findings` are listed one by one; `more` are further open ones, only counted, whose rows write_report() is handed
    for the CSV. `history` is oldest first, at most NIGHTS_MAX, this run last.
    """

    tenant: str
    provider: str
    business_date: date
    zone: str
    window_from: datetime
    window_to: datetime
    state: RunState
    started_at: datetime
    finished_at: datetime
    revision: int = 1
    problem: str | None = None
    totals: tuple[CurrencyTotals, ...] = ()
    counts: Counts = field(default_factory=Counts)
    findings: tuple[FindingFacts, ...] = ()
    more: tuple[FindingGroup, ...] = ()
    bad_rows: tuple[BadRowFacts, ...] = ()
    invariants: tuple[InvariantFacts, ...] = ()
    fees: tuple[FeesBooked, ...] = ()
    settlements: tuple[SettlementsBooked, ...] = ()
    ignored: tuple[IgnoredRecords, ...] = ()
    history: tuple[Night, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.tenant, self.provider):
            if not NAME.fullmatch(name):
                raise ValueError(f"{name[:80]!r} is not the name of a tenant or a provider")
        refuse_unknown("run state", [self.state], ENDED_STATES)
        for at in (self.window_from, self.window_to, self.started_at, self.finished_at):
            require_aware(at)
        if len({totals.currency for totals in self.totals}) != len(self.totals):
            raise FactsDoNotAddUp("a currency has two totals")
        if len(self.history) > NIGHTS_MAX:
            raise ValueError(f"{len(self.history)} nights of history, at most {NIGHTS_MAX} were expected")


def refuse_unknown(what: str, found: Mapping[str, object] | list[str], known: tuple[str, ...]) -> None:
    """Raise ValueError for the first that is not known."""
    for one in found:
        if one not in known:
            raise ValueError(f"{one!r} is not a {what}; known are {', '.join(known)}")


def refuse_half_amount(amount_minor: int | None, currency: str | None) -> None:
    if (amount_minor is None) != (currency is None):
        raise ValueError(f"an amount and its currency come together, not {amount_minor!r} and {currency!r}")
    if currency is not None:
        exponent(currency)
