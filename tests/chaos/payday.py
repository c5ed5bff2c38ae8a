"""The payouts of a run, drawn from its seed: to whom, how much, which fault it meets, and how it must end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from tests.chaos.schedule import Fault

OWNERS = 20
THRESHOLD_MINOR = 900
AMOUNT_MAX = 1000
PLAIN_SHARE = 0.35
CANCELLED_SHARE = 0.03
REJECTED_SHARE = 0.2
RETRY_LIMIT = 3

ENDS: Mapping[str, str] = {
    "decline_retryable:1": "paid",
    "decline_retryable:3": "paid",
    "decline_retryable:4": "failed",
    "decline_final": "failed",
    "timeout_before": "paid",
    "timeout_after": "paid",
    "error_500": "paid",
    "error_500_after": "paid",
    "slow:0.5": "paid",
    "slow_before:0.5": "paid",
    "garbage": "paid",
    "rate_limit:1": "paid",
    "paid_then_failed": "returned",
    "webhook_lost": "paid",
    "webhook_duplicate:3": "paid",
    "webhook_reordered": "paid",
    "webhook_late:2": "paid",
}
"""Every fault of the sandbox -> the state in which a payout that meets it ends, whatever else breaks."""


@dataclass(frozen=True, slots=True)
class Order:
    """One payout to ask for. `decision`: what people say of it (approve, reject), or the app later on (cancel)."""

    number: int
    owner: str
    amount_minor: int
    fault: str
    decision: str

    @property
    def destination(self) -> str:
        return f"ba-{self.number}~fault:{self.fault}" if self.fault else f"ba-{self.number}"

    @property
    def ends(self) -> frozenset[str]:
        """The states it may end in; a cancellation may come too late."""
        end = ENDS.get(self.fault, "paid")
        match self.decision:
            case "reject":
                return frozenset({"cancelled"})
            case "cancel":
                return frozenset({"cancelled", end})
            case _:
                return frozenset({end})


def make_orders(seed: int, many: int) -> list[Order]:
    """The same arguments give the same orders."""
    chance = Random(f"payday {seed}")  # noqa: S311 - repeats, guards nothing
    return [_order(chance, number) for number in range(many)]


def _order(chance: Random, number: int) -> Order:
    fault = "" if chance.random() < PLAIN_SHARE else chance.choice(sorted(ENDS))
    amount, decision = chance.randint(1, AMOUNT_MAX), ""
    if amount > THRESHOLD_MINOR:
        decision = "reject" if chance.random() < REJECTED_SHARE else "approve"
    elif chance.random() < CANCELLED_SHARE:
        decision = "cancel"
    return Order(number, f"payee-{number % OWNERS}", amount, fault, decision)


def wallets_before(orders: Sequence[Order]) -> Counter[str]:
    """Owner -> what all of the owner's payouts need together."""
    needed: Counter[str] = Counter()
    for order in orders:
        needed[order.owner] += order.amount_minor
    return needed


def make_strikes(seed: int, *, short: bool) -> list[Fault]:
    """What breaks on the way. A frozen worker wakes after its claims were given up, with the keys in its hand."""
    chance = Random(f"payday faults {seed}")  # noqa: S311 - repeats, guards nothing
    faults = [
        Fault("redis flushed"),
        Fault("worker killed", victim="payouts"),
        Fault("worker killed", victim="worker"),
    ]
    if not short:
        faults += [
            Fault("redis flushed"),
            Fault("redis stopped", 5),
            Fault("worker frozen", 45, "payouts-2"),
            Fault("worker killed", victim="payouts-2"),
            Fault("shim killed"),
            Fault("beat killed"),
            Fault("connections killed"),
            Fault("postgresql restarted"),
        ]
    chance.shuffle(faults)
    return faults
