"""move(): state, history, money, limit and news change together, by the table of moves, or not at all."""

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import pytest

from models.errors import ImpossibleMove, PayoutRaced
from models.payouts.moving import Move, Note, bring_back, move, note
from models.payouts.opening import Opening, open_payouts
from models.payouts.payout import Payout
from models.payouts.rows import attempts_of, find_attempts, lock_payouts, wait_keys
from models.payouts.states import DUE_STATES, MOVES, OPEN_STATES, STATES, State
from tests.integration.payouts.cashier import Cashier

ROUTES: dict[State, tuple[State, ...]] = {
    "approved": (),
    "sending": ("sending",),
    "submitted": ("sending", "submitted"),
    "in_doubt": ("sending", "in_doubt"),
    "cooling": ("sending", "cooling"),
    "paid": ("sending", "paid"),
    "returned": ("sending", "paid", "returned"),
    "failed": ("sending", "failed"),
    "cancelled": ("cancelled",),
}
"""How a payout that begins as approved comes there."""
OUTCOME: dict[State, str] = {
    "sending": "sending", "submitted": "submitted", "in_doubt": "in_doubt", "cooling": "declined", "paid": "paid",
    "returned": "returned", "failed": "declined",
}  # fmt: skip


def dated(payout: Payout, state: State, cashier: Cashier) -> Payout:
    """The payout in that state, with what the state's CHECKs want."""
    soon = cashier.now + timedelta(minutes=1)
    return replace(
        payout,
        state=state,
        next_attempt_at=soon if state in DUE_STATES else None,
        claimed_until=soon if state == "sending" else None,
        claim_version=1,
        in_doubt_since=cashier.now if state == "in_doubt" else None,
        next_lookup_at=soon if state == "in_doubt" else None,
        failure_code="no_account" if state in ("failed", "returned", "cancelled") else None,
    )


def bring(cashier: Cashier, state: State) -> UUID:
    """A payout of 100 in that state, and the attempt that belongs to it."""
    cashier.policy(approval_threshold_minor=0 if state == "awaiting_approval" else None)
    payout_id = cashier.opened(100)
    for step in ROUTES.get(state, ()):
        moved(cashier, payout_id, step)
    if state in OUTCOME:
        cashier.attempt(payout_id, OUTCOME[state])
    return payout_id


def moved(cashier: Cashier, payout_id: UUID, goal: State, **others: Any) -> Payout:
    with cashier.transaction() as session:
        before = lock_payouts(session, cashier.tenant, [payout_id])[payout_id]
        after = dated(before, goal, cashier)
        others.setdefault("detail", {"reversal": "po_back"} if "returned" in (before.state, goal) else {})
        [payout] = move(session, [Move(before, after, "test", **others)], now=cashier.now)
    return payout


def left(cashier: Cashier) -> tuple[int, int, int, int]:
    """Available, held, at the provider, counted for the limit."""
    clearing = cashier.balance("provider:sandbox:clearing")
    return cashier.wallet(), cashier.held(), clearing, cashier.reserved()


@pytest.mark.parametrize("state", STATES)
def test_a_payout_goes_where_the_table_says_and_nowhere_else(cashier: Cashier, state: State) -> None:
    for goal in MOVES:
        payout_id = bring(cashier, state)
        before, books = cashier.payout(payout_id), left(cashier)
        if goal in MOVES[state]:
            payout = moved(cashier, payout_id, goal)
            row = cashier.payout(payout_id)
            assert (row["state"], row["version"], payout.version) == (
                goal,
                before["version"] + 1,
                row["version"],
            )
            assert cashier.events(payout_id)[-1] == ("test", state, goal)
            if state in OUTCOME or goal in OUTCOME:
                make_fit(cashier, payout_id, goal)
        else:
            with pytest.raises(ImpossibleMove, match=f"{payout_id}: {state} -> {goal}"):
                moved(cashier, payout_id, goal)
            assert (cashier.payout(payout_id), left(cashier)) == (before, books)


def make_fit(cashier: Cashier, payout_id: UUID, state: State) -> None:
    """The attempt's outcome is its mover's to write; the books are checked afterwards."""
    outcome = OUTCOME.get(state, "abandoned")
    unfinished = outcome in ("sending", "not_sent", "in_doubt")
    found = cashier.rows(
        "UPDATE payout_attempts SET outcome = :outcome, finished_at = CASE WHEN NOT :open THEN now() END "
        "WHERE payout_id = :id RETURNING attempt_no",
        outcome=outcome, open=unfinished, id=payout_id,
    )  # fmt: skip
    if not found and state in OUTCOME:
        cashier.attempt(payout_id, outcome)


HELD, RELEASED, PAID, RETURNED = (900, 100, 0, 100), (1000, 0, 0, 0), (900, 0, 100, 100), (1000, 0, 0, 0)


@pytest.mark.parametrize("state", STATES)
def test_the_money_is_where_the_state_says(cashier: Cashier, state: State) -> None:
    bring(cashier, state)
    expected = {"paid": PAID, "returned": RETURNED, "failed": RELEASED, "cancelled": RELEASED}.get(
        state, HELD
    )
    assert left(cashier) == expected
    assert (expected == HELD) == (state in OPEN_STATES)


@pytest.mark.parametrize("state", STATES)
def test_the_tenant_is_told_of_each_state_but_sending_in_order(cashier: Cashier, state: State) -> None:
    cashier.rows("UPDATE tenants SET notified = true WHERE tenant = :tenant RETURNING tenant")
    payout_id = bring(cashier, state)
    told = cashier.rows(
        "SELECT type, version FROM notifications WHERE subject LIKE 'payout:%' ORDER BY version"
    )
    begins: State = "awaiting_approval" if state == "awaiting_approval" else "approved"
    path = [begins, *ROUTES.get(state, ())]
    expected = [(f"payout.{one}", version) for version, one in enumerate(path, 1) if one != "sending"]
    assert [(row["type"], row["version"]) for row in told] == expected
    assert cashier.payout(payout_id)["version"] == len(path)


def test_a_history_names_the_ledger_transaction_of_each_step(cashier: Cashier) -> None:
    payout_id = bring(cashier, "returned")
    told = cashier.rows("""
        SELECT e.to_state, t.kind FROM payout_events e LEFT JOIN ledger_transactions t ON t.id = e.transaction_id
        WHERE e.payout_id = :id ORDER BY e.id
    """, id=payout_id)  # fmt: skip
    assert [tuple(row.values()) for row in told] == [
        ("approved", "hold.placed"), ("sending", None), ("paid", "hold.captured"), ("returned", "payout.returned"),
    ]  # fmt: skip


def test_who_read_the_payout_before_another_moved_it_moves_nothing(cashier: Cashier) -> None:
    payout_id = bring(cashier, "approved")
    with cashier.transaction() as session:
        stale = lock_payouts(session, "acme", [payout_id])[payout_id]
    moved(cashier, payout_id, "sending")
    with pytest.raises(PayoutRaced), cashier.transaction() as session:
        move(session, [Move(stale, dated(stale, "cancelled", cashier), "test")], now=cashier.now)
    assert (cashier.state(payout_id), cashier.held()) == ("sending", 100)
    make_fit(cashier, payout_id, "sending")


def test_moves_of_one_call_stand_or_fall_together(cashier: Cashier) -> None:
    one, other = bring(cashier, "approved"), bring(cashier, "approved")
    with cashier.transaction() as session:
        payouts = lock_payouts(session, "acme", [one, other])
    stale = replace(payouts[other], version=7)
    moves = [Move(p, dated(p, "cancelled", cashier), "test") for p in (payouts[one], stale)]
    with pytest.raises(PayoutRaced), cashier.transaction() as session:
        move(session, moves, now=cashier.now)
    assert (cashier.state(one), cashier.state(other), cashier.held()) == ("approved", "approved", 200)


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": 1}, {"owner": "bob"}, {"currency": "USD"}, {"provider": "stripe"}, {"destination": "mine"},
        {"requested_by": "ops"}, {"tenant": "globex"}, {"id": uuid4()},
    ],
)  # fmt: skip
def test_a_move_changes_nobodys_money(cashier: Cashier, change: dict[str, Any]) -> None:
    payout_id = bring(cashier, "approved")
    with cashier.transaction() as session:
        payout = lock_payouts(session, "acme", [payout_id])[payout_id]
    asked = Move(payout, replace(dated(payout, "cancelled", cashier), **change), "test")
    with pytest.raises(ImpossibleMove, match=next(iter(change))), cashier.transaction() as session:
        move(session, [asked], now=cashier.now)
    assert cashier.state(payout_id) == "approved"


def test_a_payout_whose_hold_does_not_stand_is_not_paid(cashier: Cashier) -> None:
    """A row that did not come through admission: the ledger refuses, so nothing moves."""
    payout_id = bring(cashier, "approved")
    with cashier.transaction() as session:
        undone = session.begin_nested()
        payout = replace(lock_payouts(session, "acme", [payout_id])[payout_id], id=uuid4())
        open_payouts(session, [Opening(payout, 1)], now=cashier.now)
        with pytest.raises(ImpossibleMove, match="requirement_missing"):
            move(session, [Move(payout, dated(payout, "paid", cashier), "test")], now=cashier.now)
        undone.rollback()
    assert len(cashier.rows("SELECT * FROM payouts")) == 1


def test_the_money_comes_back_at_most_once(cashier: Cashier) -> None:
    payout_id = bring(cashier, "returned")
    with cashier.transaction() as session:
        payout = lock_payouts(session, "acme", [payout_id])[payout_id]
    posting = bring_back(payout, occurred_at=cashier.now, reversal="po_back")
    assert posting.key != bring_back(payout, occurred_at=cashier.now).key
    [row] = cashier.rows("SELECT idempotency_key FROM ledger_transactions WHERE kind = 'payout.returned'")
    assert row["idempotency_key"] == posting.key
    assert posting.requires == payout.hold.settled_key


def test_opening_twice_opens_once(cashier: Cashier) -> None:
    payout_id = bring(cashier, "approved")
    before = (cashier.payout(payout_id), cashier.events(payout_id))
    with cashier.transaction() as session:
        payout = lock_payouts(session, "acme", [payout_id])[payout_id]
        open_payouts(session, [Opening(payout, 1)], now=cashier.now)
        open_payouts(session, [], now=cashier.now)
    assert (cashier.payout(payout_id), cashier.events(payout_id)) == before


def test_a_note_is_history_and_nothing_else(cashier: Cashier) -> None:
    payout_id = bring(cashier, "approved")
    before, books = cashier.payout(payout_id), left(cashier)
    with cashier.transaction() as session:
        payout = lock_payouts(session, "acme", [payout_id])[payout_id]
        note(
            session,
            [Note(payout, "stale_answer", attempt_no=1, code="late", detail={"n": 1})],
            now=cashier.now,
        )
        note(session, [], now=cashier.now)
        assert move(session, [], now=cashier.now) == []
    assert (cashier.payout(payout_id), left(cashier)) == (before, books)
    assert cashier.events(payout_id)[-1] == ("stale_answer", None, None)


def test_payouts_are_locked_and_found_for_their_own_tenant_only(cashier: Cashier) -> None:
    payout_id = bring(cashier, "sending")
    reference = f"{payout_id.hex}-1"
    with cashier.transaction() as session:
        assert lock_payouts(session, "globex", [payout_id]) == {}
        assert lock_payouts(session, "acme", []) == {}
        assert find_attempts(session, "globex", [("sandbox", reference)]) == []
        assert find_attempts(session, "acme", [("stripe", reference)]) == []
        [found] = find_attempts(session, "acme", [("sandbox", reference)])
        assert attempts_of(session, [payout_id, UUID(int=1)]) == {payout_id: [found], UUID(int=1): []}
    assert wait_keys("sandbox", reference, "po_1") == (
        f"payout:sandbox:ref:{reference}",
        "payout:sandbox:obj:po_1",
    )
    assert wait_keys("sandbox", None) == ()


def test_every_pair_of_states_was_tried() -> None:
    tried = {(one, other) for one in STATES for other in STATES}
    assert tried == set(product(MOVES, repeat=2))
    assert {goal for goals in MOVES.values() for goal in goals} <= set(STATES)
