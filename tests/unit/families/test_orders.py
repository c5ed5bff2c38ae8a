"""Whatever the order, the duplicates and the batches: the same deposit, the same money in the same accounts."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.webhooks.effects import Apply
from tasks.webhooks.facts import Deposit
from tasks.webhooks.folding import Case, fold
from tests.unit.families.events import event, expected
from worker.providers.port import ProviderEvent

BY_PART = {"captured": "cap", "refunded": "re", "chargeback": "cb"}


@st.composite
def histories(draw: st.DrawFn) -> list[ProviderEvent]:
    """What can truly happen to one payment, in its own order: nothing goes back that was not captured."""
    captures = draw(st.lists(st.integers(1, 100), min_size=1, max_size=3))
    captured = sum(captures)
    told = [event("captured", amount, f"cap-{n}") for n, amount in enumerate(captures)]
    refunds = draw(st.lists(st.integers(1, 100), max_size=4))
    refunded = 0
    for number, amount in enumerate(refunds):
        if refunded + amount > captured:
            continue
        refunded += amount
        told.append(event("refunded", amount, f"re-{number}"))
        if draw(st.booleans()):
            told.append(
                event("refund_total", sum(one.amount_minor or 0 for one in told if one.move == "refunded"))
            )
        if draw(st.booleans()):
            told.append(event("refund_reversed", amount, f"re-{number}"))
            refunded -= amount
    for number in range(draw(st.integers(0, 2))):
        told.append(event("chargeback", captured, f"cb-{number}"))
        if number == 0 or draw(st.booleans()):
            told.append(event("chargeback_reversed", captured, f"cb-{number}", currency="EUR"))
    if draw(st.booleans()):
        told.append(event("failed"))
    return told


def model(told: list[ProviderEvent]) -> tuple[int, int, int]:
    """Captured, refunded and charged back, from the set of what was told alone."""
    sums = {
        move: {one.part_id: one.amount_minor or 0 for one in told if one.move == move} for move in BY_PART
    }
    totals = [one.amount_minor or 0 for one in told if one.move == "refund_total"]
    returned = {one.part_id for one in told if one.move in ("refund_reversed", "chargeback_reversed")}
    refunded = max([sum(sums["refunded"].values()), *totals])
    refunded -= sum(amount for part, amount in sums["refunded"].items() if part in returned)
    charged_back = sum(amount for part, amount in sums["chargeback"].items() if part not in returned)
    return sum(sums["captured"].values()), refunded, charged_back


def run(batches: list[list[ProviderEvent]], deposit: Deposit) -> tuple[Deposit, int, int]:
    """The deposit, the wallet and the shortfall after the batches; what parks comes along into the next one."""
    wallet = shortfall = 0
    parked: list[ProviderEvent] = []
    for batch in batches:
        events = [*parked, *batch]
        case = Case(deposit, list(range(len(events))))
        while case.waiting:
            folded = fold(case, events)
            for decision in folded.settled.values():
                if isinstance(decision, Apply):
                    balance = wallet - shortfall + decision.minor
                    wallet, shortfall = max(balance, 0), max(-balance, 0)
            case = replace(case, deposit=folded.deposit, waiting=list(folded.left))
        deposit, parked = case.deposit, [events[position] for position in folded.parked]
    assert parked == []
    return deposit, wallet, shortfall


@settings(max_examples=300, deadline=None)
@given(st.data(), histories())
def test_any_order_with_duplicates_in_any_batches_ends_as_the_model_says(
    data: st.DataObject, told: list[ProviderEvent]
) -> None:
    doubled = told + data.draw(st.lists(st.sampled_from(told), max_size=5))
    shuffled = data.draw(st.permutations(doubled))
    batches = [shuffled]
    if len(shuffled) > 1:
        cuts = sorted(data.draw(st.lists(st.integers(1, len(shuffled) - 1), max_size=4)))
        batches = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    deposit, wallet, shortfall = run(batches, expected(expected_minor=300))
    captured, refunded, charged_back = model(told)
    assert (deposit.captured_minor, deposit.refunded_minor, deposit.charged_back_minor) == (
        captured,
        refunded,
        charged_back,
    )
    assert wallet - shortfall == captured - refunded - charged_back


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
