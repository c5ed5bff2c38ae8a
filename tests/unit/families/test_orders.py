"""Whatever the order, the duplicates and the batches: the same deposit, the same money in the same accounts."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.webhooks.folding import Case, fold
from tests.unit.families.events import event, expected
from tests.unit.families.playing import Play
from worker.providers.port import ProviderEvent

BEGAN = 1_790_000_000


def at(second: int) -> str:
    return datetime.fromtimestamp(BEGAN + second, UTC).isoformat()


@dataclass
class History:
    """What happened to one payment, and every event about it. Refunds are known by one kind of event, or by both."""

    told: list[ProviderEvent] = field(default_factory=list)
    captured: int = 0
    refunds: dict[str, int] = field(default_factory=dict)
    charged_back: int = 0
    second: int = 0

    def refund(self, amount: int, *, singly: bool, total: bool) -> None:
        part = f"re-{len(self.told)}"
        self.refunds[part] = amount
        if singly:
            made = {"made_at": BEGAN + self.second, "occurred_at": at(self.second)}
            self.told.append(event("refunded", amount, part, **made))
        if total:
            self.total()

    def total(self) -> None:
        sequence = (BEGAN + self.second) * 2
        self.told.append(event("refund_total", sum(self.refunds.values()), sequence=sequence))

    def give_back(self, part: str, *, made: int) -> None:
        """As Stripe's adapter reads it: a failed refund is one that was made, and one that came back."""
        amount, when = self.refunds.pop(part), {"made_at": BEGAN + made, "occurred_at": at(self.second)}
        self.told.append(event("refunded", amount, part, **when))
        self.told.append(event("refund_reversed", amount, part, currency="EUR", **when))


@st.composite
def histories(draw: st.DrawFn) -> History:
    """What can truly happen, in its own order: nothing goes back that was not captured."""
    captures = draw(st.lists(st.integers(1, 100), min_size=1, max_size=3))
    history = History(captured=sum(captures))
    history.told = [event("captured", amount, f"cap-{n}") for n, amount in enumerate(captures)]
    ways: list[tuple[bool, bool]] = [(True, False), (False, True), (True, True)]
    singly, total = draw(st.sampled_from(ways))
    made: dict[str, int] = {}
    for amount in draw(st.lists(st.integers(1, 100), max_size=4)):
        history.second += draw(st.integers(1, 3))
        if sum(history.refunds.values()) + amount <= history.captured:
            known = set(history.refunds)
            history.refund(amount, singly=singly, total=total)
            for part in set(history.refunds) - known:
                made[part] = history.second
        if draw(st.booleans()) and history.refunds:
            history.second += draw(st.integers(1, 3))
            part = draw(st.sampled_from(sorted(history.refunds)))
            history.give_back(part, made=made[part])
    for number in range(draw(st.integers(0, 2))):
        history.told.append(event("chargeback", history.captured, f"cb-{number}"))
        history.charged_back += history.captured
        if number == 0 or draw(st.booleans()):
            back = draw(st.integers(1, history.captured))
            history.told.append(event("chargeback_reversed", back, f"cb-{number}", currency="EUR"))
            history.charged_back -= back
    if draw(st.booleans()):
        history.told.append(event("failed"))
    return history


@settings(max_examples=400, deadline=None)
@given(st.data(), histories())
def test_any_order_with_duplicates_in_any_batches_ends_as_the_model_says(
    data: st.DataObject, history: History
) -> None:
    doubled = history.told + data.draw(st.lists(st.sampled_from(history.told), max_size=5))
    shuffled = data.draw(st.permutations(doubled))
    cuts: list[int] = []
    if len(shuffled) > 1:
        cuts = sorted(data.draw(st.lists(st.integers(1, len(shuffled) - 1), max_size=4)))
    play = Play(expected(expected_minor=300))
    for first, last in zip([0, *cuts], [*cuts, len(shuffled)], strict=True):
        play.hear(shuffled[first:last])
    assert (play.parked, play.dead) == ([], [])
    refunded = sum(history.refunds.values())
    assert (play.deposit.captured_minor, play.deposit.refunded_minor, play.deposit.charged_back_minor) == (
        history.captured,
        refunded,
        history.charged_back,
    )
    standing = history.captured - refunded - history.charged_back
    assert (play.wallet, play.shortfall, play.duplicate) == (max(standing, 0), min(standing, 0), 0)
    assert len(set(play.keys)) == len(play.keys)


def test_a_careful_case_settles_one_event_at_a_time() -> None:
    events = [event("refunded", 30, "re-1"), event("captured", 100, "cap-1"), event("failed")]
    case = Case(expected(), [0, 1, 2], careful=True)
    first = fold(case, events)
    assert (list(first.settled), first.left) == ([1], [0, 2])
    second = fold(replace(case, deposit=first.deposit, waiting=list(first.left)), events)
    assert (list(second.settled), second.left) == ([0], [2])


def test_money_that_comes_in_waits_for_what_went_back_in_the_same_go() -> None:
    events = [event("captured", 100, "cap-1"), event("chargeback", 100, "cb-1"), event("chargeback_reversed")]
    folded = fold(Case(expected(), [0, 1, 2]), events)
    assert (list(folded.settled), folded.left) == ([0, 1], [2])
