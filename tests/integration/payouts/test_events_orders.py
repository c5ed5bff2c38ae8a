"""Whatever the order, however often, in however many batches: one history of a payout ends in one ledger.

The exceptions are those of ops/state-machines.md, section "Payouts"; they are tested in test_events.py.
"""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import permutations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.integration.payouts.event_desk import EventDesk
from tests.integration.payouts.histories import Histories
from worker.database import Transaction
from worker.providers.port import PayoutMove, ProviderEvent

EXAMPLES = int(os.environ.get("LEDGERBEAT_TEST_EXAMPLES", "60"))

BACK: Sequence[PayoutMove] = ("payout_failed", "payout_returned")
TAKEN: PayoutMove = "payout_submitted"
PAID: PayoutMove = "payout_paid"
STORIES: dict[str, tuple[tuple[PayoutMove, ...], str]] = {
    "paid": (("payout_submitted", "payout_paid"), "paid"),
    "failed": (("payout_submitted", "payout_failed"), "failed"),
    "paid, then failed": (("payout_submitted", "payout_paid", "payout_failed"), "returned"),
    "paid, then returned": (("payout_submitted", "payout_paid", "payout_returned"), "returned"),
    "returned at once": (("payout_submitted", "payout_returned"), "returned"),
    "Adyen's": (
        ("payout_submitted", "payout_submitted", "payout_paid", "payout_paid", "payout_returned"),
        "returned",
    ),
    "Adyen's, failed": (("payout_submitted", "payout_submitted", "payout_failed"), "failed"),
    "Adyen's, instant": (
        ("payout_submitted", "payout_submitted", "payout_paid", "payout_failed"),
        "returned",
    ),
}
"""What a provider tells of one object, in its order, and the state that it ends in."""
WAYS = {"sending": ("claim",), "submitted": ("claim", "submit"), "in_doubt": ("claim", "doubt"),
        "not_sent": ("claim", "not_sent"), "declined": ("claim", "decline")}  # fmt: skip
"""Where the payout was when the first event came."""
LEDGER = {
    "paid": ["hold.placed", "hold.captured"],
    "failed": ["hold.placed", "hold.released"],
    "returned": ["hold.placed", "hold.captured", "payout.returned"],
}


@pytest.fixture
def desk(transaction: Transaction, tenant: str, now: datetime) -> Iterator[EventDesk]:
    desk = EventDesk(transaction, tenant, now, Histories(transaction, now))
    yield desk
    desk.check_books()


def tell_all(desk: EventDesk, batches: Sequence[Sequence[ProviderEvent]]) -> None:
    """Batch by batch, the queue emptied after each; then whatever still waits has its time."""
    for batch in batches:
        desk.tell(*batch)
        desk.drain()
    desk.later()
    desk.later(300)
    assert desk.rows("SELECT id FROM jobs WHERE name = 'webhooks.event' AND state <> 'done'") == []


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("ways", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("back", BACK)
def test_every_order_of_paid_and_taken_back_ends_the_same(
    desk: EventDesk, together: bool, ways: tuple[str, ...], back: PayoutMove
) -> None:
    told: list[tuple[PayoutMove, int]] = [(TAKEN, 1), (PAID, 2), (back, 3), (PAID, 2)]
    orders = list(permutations(told))
    ids = [desk.payout_in(*ways, owner=f"owner-{nth}") for nth in range(len(orders))]
    steps = [
        [desk.told(payout_id, *order[step]) for payout_id, order in zip(ids, orders, strict=True)]
        for step in range(4)
    ]
    tell_all(desk, [[one for step in steps for one in step]] if together else steps)
    for nth, payout_id in enumerate(ids):
        assert (desk.state(payout_id), desk.ledger(payout_id)) == ("returned", LEDGER["returned"]), orders[
            nth
        ]
        assert (desk.findings(payout_id), desk.wallet(f"owner-{nth}")) == (["late_reversal"], 500), orders[
            nth
        ]
    assert desk.balance("provider:sandbox:clearing") == 0


@st.composite
def tellings(draw: st.DrawFn) -> tuple[str, str, list[list[int]]]:
    """A story, where the payout was, and the positions of its events as they come: shuffled, doubled, in batches."""
    story, way = draw(st.sampled_from(sorted(STORIES))), draw(st.sampled_from(sorted(WAYS)))
    count = len(STORIES[story][0])
    doubled = draw(st.lists(st.integers(0, count - 1), max_size=4))
    order = draw(st.permutations([*range(count), *doubled]))
    cuts = sorted(draw(st.sets(st.integers(1, len(order) - 1))))
    return story, way, [order[start:end] for start, end in zip([0, *cuts], [*cuts, len(order)], strict=True)]


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(telling=tellings())
def test_any_story_in_any_order_ends_as_told_in_order(
    desk: EventDesk, telling: tuple[str, str, list[list[int]]]
) -> None:
    story, way, batches = telling
    moves, end = STORIES[story]
    assume(way != "declined" or end != "failed")  # it is known, and the next attempt comes
    payout_id = desk.payout_in(*WAYS[way])
    events = [desk.told(payout_id, move, nth + 1) for nth, move in enumerate(moves)]
    tell_all(desk, [[events[position] for position in batch] for batch in batches])
    assert (desk.state(payout_id), desk.attempts(payout_id)) == (end, [end])
    assert desk.ledger(payout_id) == LEDGER[end]
    assert desk.findings(payout_id) == (["late_reversal"] if end == "returned" else [])
    assert desk.payout(payout_id)["attempts_made"] == 1
    desk.check_books()
