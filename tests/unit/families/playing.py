"""Plays events on one deposit in memory: decided as the service decides them, posted to a ledger of four accounts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from models.ledger.codes import wallet_code
from models.ledger.outcomes import Leg
from tasks.webhooks.decisions import Apply, Reject
from tasks.webhooks.facts import DUPLICATE_CAPTURE, SHORTFALL, Deposit
from tasks.webhooks.folding import Case, fold
from worker.providers.port import ProviderEvent


@dataclass
class Play:
    """`parked` are the events that wait, `dead` those that a person has to look at."""

    deposit: Deposit
    balances: Counter[str] = field(default_factory=Counter)
    parked: list[ProviderEvent] = field(default_factory=list)
    dead: list[Reject] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)

    def hear(self, batch: Sequence[ProviderEvent]) -> None:
        """One run of the drain; what waits comes along."""
        events = [*self.parked, *batch]
        case, self.parked = Case(self.deposit, list(range(len(events)))), []
        while case.waiting:
            folded = fold(case, events)
            borne = -self.shortfall
            for decision in folded.settled.values():
                if isinstance(decision, Apply) and decision.key:
                    borne -= self._post(decision, borne)
                elif isinstance(decision, Reject):
                    self.dead.append(decision)
            self.deposit, self.parked = folded.deposit, [events[position] for position in folded.parked]
            case = replace(case, deposit=folded.deposit, waiting=list(folded.left))

    def _post(self, decision: Apply, borne: int) -> int:
        """What it moves on the shortfall by itself."""
        self.keys.append(decision.key)
        legs = decision.after.legs(decision.before, borne)
        assert sum(leg.amount_minor for leg in legs) == 0
        for leg in legs:
            self._move(leg)
        return sum(leg.amount_minor for leg in legs if leg.code == SHORTFALL)

    def _move(self, leg: Leg) -> None:
        lacking = min(self.balances[leg.code] + leg.amount_minor, 0) if leg.cover else 0
        self.balances[leg.code] += leg.amount_minor - lacking
        self.balances[leg.cover or leg.code] += lacking

    @property
    def wallet(self) -> int:
        return self.balances[wallet_code(self.deposit.owner)]

    @property
    def shortfall(self) -> int:
        return self.balances[SHORTFALL]

    @property
    def duplicate(self) -> int:
        return self.balances[DUPLICATE_CAPTURE]
