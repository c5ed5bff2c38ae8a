"""A reversal is a payout of its own: asked for it says nothing, paid it brings the money back, failed it does not.

docs.stripe.com/connect/payout-reversals. Whatever the order in which its events and those of the payout are told.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest

from tests.integration.payouts.event_desk import AMOUNT, EventDesk
from tests.integration.payouts.histories import Histories
from worker.database import Transaction
from worker.providers.port import PayoutMove, ProviderEvent

BACK = "po_back"
START = 17_950_000_000
Told = tuple[str, PayoutMove]
"""Who it is about, `own` or the id of a reversal; and what it says."""

PAID: Told = ("own", "payout_paid")
BOUNCED: Told = ("own", "payout_failed")
REVERSED: Told = (BACK, "payout_reversed")
IN_VAIN: Told = (BACK, "payout_reversal_failed")
STORIES: Sequence[tuple[str, Sequence[Told], str]] = [
    ("a reversal that fails", (PAID, IN_VAIN), "paid"),
    ("a reversal that is paid", (PAID, REVERSED), "returned"),
    ("a reversal that is paid and then fails", (PAID, REVERSED, IN_VAIN), "paid"),
    ("a payout that bounces, its reversal cancelled", (PAID, BOUNCED, IN_VAIN), "returned"),
    ("a payout that bounces after a reversal that failed", (PAID, IN_VAIN, BOUNCED), "returned"),
    ("both reversed and bounced, the reversal in vain", (PAID, REVERSED, BOUNCED, IN_VAIN), "returned"),
    ("a second reversal after one that failed", (PAID, IN_VAIN, ("po_again", "payout_reversed")), "returned"),
]


@pytest.fixture
def desk(transaction: Transaction, tenant: str, now: datetime) -> Iterator[EventDesk]:
    desk = EventDesk(transaction, tenant, now, Histories(transaction, now))
    yield desk
    desk.check_books()


def events(desk: EventDesk, payout_id: UUID, story: Sequence[Told]) -> list[ProviderEvent]:
    """The events of a story, one a second; a reversal knows only the payout's id."""
    made = []
    for step, (who, move) in enumerate(story):
        own = who == "own"
        about: dict[str, Any] = {"part_id": None if own else who, "event_key": f"evt_{payout_id.hex}_{step}"}
        told = desk.told(payout_id, move, START + step * 10, **about)
        made.append(told if own else _without_reference(told))
    return made


def _without_reference(told: ProviderEvent) -> ProviderEvent:
    return ProviderEvent.from_args({**told.as_args(), "reference": None})


def money(desk: EventDesk) -> tuple[int, int]:
    """What ada has, and what suspense bears."""
    [row] = desk.rows(
        "SELECT coalesce(sum(balance_minor) FILTER (WHERE code = 'wallet:ada:available'), 0) AS wallet, "
        "coalesce(sum(balance_minor) FILTER (WHERE code = 'suspense:shortfall'), 0) AS shortfall "
        "FROM accounts WHERE tenant = 'acme'"
    )
    return int(row["wallet"]), int(row["shortfall"])


@pytest.mark.parametrize(
    ("story", "end"), [story[1:] for story in STORIES], ids=[story[0] for story in STORIES]
)
@pytest.mark.parametrize("ways", [("claim", "submit"), ("claim",), ("claim", "doubt")], ids=str)
@pytest.mark.parametrize("together", [False, True])
def test_whatever_the_order_the_payout_ends_as_the_provider_says(
    desk: EventDesk, story: Sequence[Told], end: str, ways: Sequence[str], together: bool
) -> None:
    orders = list(permutations(range(len(story))))
    for order in orders:
        payout_id = desk.payout_in(*ways)
        told = events(desk, payout_id, story)
        if together:
            desk.tell(*(told[place] for place in order), *(told[place] for place in order))
            desk.drain()
        else:
            for place in (*order, *order):  # each doubled
                desk.hear(told[place])
        state = desk.state(payout_id)
        assert desk.attempts(payout_id) == [state]
        # Stripe counts no events: that it failed, told before that it was paid, releases the hold.
        assert state in {end, "failed" if BOUNCED in story else end}, order
    returned = len(orders) if end == "returned" else 0
    assert money(desk) == (returned * AMOUNT, 0)


def test_money_that_was_spent_meanwhile_is_borne_by_suspense(desk: EventDesk) -> None:
    payout_id = desk.payout_in("claim", "submit")
    paid, reversed_, failed = events(desk, payout_id, (PAID, REVERSED, IN_VAIN))
    desk.hear(paid)
    desk.hear(reversed_)
    debit = {"owner": "ada", "amount_minor": 300, "currency": "EUR", "reason": "spent"}
    desk.do("wallets.debit", debit)
    assert money(desk) == (200, 0)
    [done] = desk.hear(failed)
    assert done["effect"] == "payout_reversal_failed"
    assert (desk.state(payout_id), money(desk)) == ("paid", (0, -300))
    assert desk.findings(payout_id) == ["late_reversal", "status_mismatch"]
    assert desk.ledger(payout_id) == [
        "hold.placed",
        "hold.captured",
        "payout.returned",
        "payout.reversal_failed",
    ]


def test_a_reversal_that_fails_counts_against_the_days_limit_again(desk: EventDesk) -> None:
    payout_id = desk.payout_in("claim", "submit")
    standing = "SELECT count(*) AS n FROM limit_reservations WHERE released_at IS NULL AND payout_id = :id"
    for told, counted in zip(events(desk, payout_id, (PAID, REVERSED, IN_VAIN)), (1, 0, 1), strict=True):
        desk.hear(told)
        assert desk.rows(standing, id=payout_id)[0]["n"] == counted


def test_a_reversal_of_nobodys_payout_waits_and_moves_nothing(desk: EventDesk) -> None:
    payout_id = desk.payout_in("claim", "submit")
    [_, told] = events(desk, payout_id, (PAID, REVERSED))
    other = ProviderEvent.from_args({**told.as_args(), "object_id": "po_unknown"})
    [parked] = desk.hear(other)
    assert (parked["state"], parked["error"]) == ("parked", "unknown_reference")
    assert desk.state(payout_id) == "submitted"


def test_a_reversal_of_another_amount_is_dead(desk: EventDesk) -> None:
    payout_id = desk.payout_in("claim", "submit", "pay")
    [_, told] = events(desk, payout_id, (PAID, REVERSED))
    [dead] = desk.hear(ProviderEvent.from_args({**told.as_args(), "amount_minor": AMOUNT - 1}))
    assert (dead["state"], desk.state(payout_id)) == ("dead", "paid")
