"""Events of one deposit, one after another, on facts in memory: what can be posted in one go. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tasks.webhooks.decisions import Apply, Decision, Park
from tasks.webhooks.effects import decide
from tasks.webhooks.facts import Deposit
from worker.providers.port import ProviderEvent


@dataclass(slots=True)
class Case:
    """One deposit and its events of this run. `waiting` are the positions of those without a final decision.

    `careful`: the ledger refused one of its postings, so its events are decided one at a time.
    """

    deposit: Deposit
    waiting: list[int] = field(default_factory=list)
    careful: bool = False
    changed: bool = False


@dataclass(frozen=True, slots=True)
class Fold:
    """`settled` are final once their postings stand. `parked` are so when nothing is `left` to decide."""

    deposit: Deposit
    settled: Mapping[int, Decision] = field(default_factory=dict)
    parked: Mapping[int, Park] = field(default_factory=dict)
    left: Sequence[int] = ()


def fold(case: Case, events: Sequence[ProviderEvent]) -> Fold:
    """Decide the waiting events in order; what parks is asked again whenever a later one has changed the facts.

    Stops before money that comes in after some went back in this very go: only the ledger knows how much of that
    suspense bore, which is to be made good first.
    """
    deposit, waiting = case.deposit, list(case.waiting)
    settled: dict[int, Decision] = {}
    went_back = False
    while True:
        parked: dict[int, Park] = {}
        changed = False
        for place, position in enumerate(waiting):
            decision = decide(deposit, deposit.provider, events[position])
            if isinstance(decision, Park):
                parked[position] = decision
                continue
            if settled and (case.careful or (went_back and _comes_in(decision))):
                return Fold(deposit, settled, left=[*parked, *waiting[place:]])
            settled[position] = decision
            if isinstance(decision, Apply):
                deposit, changed = decision.after, True
                went_back = went_back or decision.wallet_minor < 0
        waiting = list(parked)
        if not changed:
            return Fold(deposit, settled, parked)


def _comes_in(decision: Decision) -> bool:
    return isinstance(decision, Apply) and decision.wallet_minor > 0
