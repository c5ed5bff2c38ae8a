"""What the database itself refuses of payouts, whoever asks: its owner around the code, or the worker's role."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models.payouts.payout import attempt_key, attempt_reference
from models.payouts.states import ATTEMPT_OUTCOMES, DUE_STATES, LIVE_OUTCOMES, MOVES, STATES, State
from tests.integration.payouts.cashier import Cashier
from worker.database import Transaction

CHECK_VIOLATION, UNIQUE_VIOLATION = "23514", "23505"
RESTRICT_VIOLATION, INSUFFICIENT_PRIVILEGE = "23001", "42501"
SOME = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.fixture(params=["owner", "worker"])
def asker(
    request: pytest.FixtureRequest, transaction: Transaction, owner_transaction: Transaction
) -> Transaction:
    found: Transaction = {"owner": owner_transaction, "worker": transaction}[request.param]
    return found


def refusal(asker: Transaction, statement: str, **values: Any) -> str:
    """The SQLSTATE that the statement is refused with, and the constraint if there is one."""
    with pytest.raises(DBAPIError) as raised, asker() as session:
        session.execute(text(statement), values)
    diagnosis: Any = raised.value.orig
    return f"{diagnosis.sqlstate} {diagnosis.diag.constraint_name or ''}".strip()


def test_the_table_of_moves_is_the_codes(cashier: Cashier) -> None:
    rows = cashier.rows("SELECT from_state, to_state FROM payout_moves")
    assert {(row["from_state"], row["to_state"]) for row in rows} == {
        (one, other) for one, goals in MOVES.items() for other in goals
    }


SET_STATE = text("""
    UPDATE payouts SET state = :state, next_attempt_at = :next_attempt_at, claimed_until = :claimed_until,
        in_doubt_since = :in_doubt_since, next_lookup_at = :next_lookup_at, failure_code = :failure_code
    WHERE id = :id
""")


def complete(state: str) -> dict[str, Any]:
    """What the CHECKs want of a row in that state."""
    return {
        "state": state,
        "next_attempt_at": SOME if state in DUE_STATES else None,
        "claimed_until": SOME if state == "sending" else None,
        "in_doubt_since": SOME if state == "in_doubt" else None,
        "next_lookup_at": SOME if state == "in_doubt" else None,
        "failure_code": "any" if state in ("failed", "returned") else None,
    }


def shortest_paths() -> dict[State, list[State]]:
    """How a payout that waits for approval comes into each state."""
    paths: dict[State, list[State]] = {"awaiting_approval": []}
    while len(paths) < len(STATES):
        for one, goals in MOVES.items():
            for other in goals if one in paths else ():
                paths.setdefault(other, [*paths[one], other])
    return paths


@pytest.mark.parametrize("state", STATES)
def test_the_trigger_knows_every_move_and_no_other(
    cashier: Cashier, transaction: Transaction, state: State
) -> None:
    """Undone afterwards: such a payout's money never moved."""
    cashier.policy(approval_threshold_minor=0)
    payout_id = cashier.opened(100)
    for goal in STATES:
        with undone(transaction) as session:
            for step in shortest_paths()[state]:
                session.execute(SET_STATE, {**complete(step), "id": payout_id})
            moves = goal in MOVES[state] or goal == state
            expected = (
                nullcontext() if moves else pytest.raises(DBAPIError, match=f"{state} -> {goal} is no move")
            )
            with expected:
                session.execute(SET_STATE, {**complete(goal), "id": payout_id})


@contextmanager
def undone(transaction: Transaction) -> Iterator[Session]:
    """What is tried in it is rolled back."""
    with transaction() as session:
        savepoint = session.begin_nested()
        yield session
        savepoint.rollback()


INSERT = """
    INSERT INTO payouts (id, tenant, owner, amount_minor, currency, provider, destination, state, requested_by,
        business_date, requested_at, updated_at, next_attempt_at, claimed_until, in_doubt_since, next_lookup_at,
        failure_code, approved_by)
    VALUES (gen_random_uuid(), 'acme', 'ada', :amount_minor, 'EUR', 'sandbox', 'ba', :state, 'app', '2026-03-14',
        :now, :now, :next_attempt_at, :claimed_until, :in_doubt_since, :next_lookup_at, :failure_code,
        :approved_by)
"""


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"amount_minor": 0}, "payouts_amount"),
        ({"amount_minor": -5}, "payouts_amount"),
        ({"next_attempt_at": None}, "payouts_next_attempt"),
        ({"state": "awaiting_approval"}, "payouts_next_attempt"),
        ({"claimed_until": SOME}, "payouts_claimed"),
        ({"in_doubt_since": SOME}, "payouts_in_doubt"),
        ({"next_lookup_at": SOME}, "payouts_lookup"),
        ({"approved_by": "app"}, "payouts_four_eyes"),
        *(({"state": state}, "") for state in STATES if state not in ("approved", "awaiting_approval")),
        ({"state": "requested"}, ""),
    ],
)
def test_a_payout_begins_only_as_it_may(
    cashier: Cashier, asker: Transaction, changes: dict[str, Any], constraint: str
) -> None:
    asked = {**complete("approved"), "amount_minor": 1, "approved_by": None, "now": SOME, **changes}
    assert refusal(asker, INSERT, **asked) == f"{CHECK_VIOLATION} {constraint}".strip()


@pytest.mark.parametrize(
    ("state", "missing", "constraint"),
    [
        ("sending", "claimed_until", "payouts_claimed"),
        ("in_doubt", "in_doubt_since", "payouts_in_doubt"),
        ("in_doubt", "next_lookup_at", "payouts_lookup"),
        ("failed", "failure_code", "payouts_failure"),
        ("cooling", "next_attempt_at", "payouts_next_attempt"),
    ],
)
def test_a_state_is_complete_or_it_is_not_reached(
    cashier: Cashier, transaction: Transaction, state: str, missing: str, constraint: str
) -> None:
    payout_id = cashier.opened(100)
    with undone(transaction) as session:
        if state != "sending":
            session.execute(SET_STATE, {**complete("sending"), "id": payout_id})
        with pytest.raises(DBAPIError, match=constraint):
            session.execute(SET_STATE, {**complete(state), missing: None, "id": payout_id})


@pytest.mark.parametrize("state", ["cooling", "submitted", "paid", "failed"])
def test_only_what_the_provider_has_is_to_be_looked_up(
    cashier: Cashier, transaction: Transaction, state: str
) -> None:
    payout_id = cashier.opened(100)
    with undone(transaction) as session:
        session.execute(SET_STATE, {**complete("sending"), "id": payout_id})
        refused = pytest.raises(DBAPIError, match="payouts_lookup")
        with nullcontext() if state == "submitted" else refused:
            session.execute(SET_STATE, {**complete(state), "next_lookup_at": SOME, "id": payout_id})


@pytest.fixture
def payout_id(cashier: Cashier) -> UUID:
    """In doubt, with its attempt."""
    found = cashier.opened(100)
    cashier.in_doubt(found)
    return found


@pytest.mark.parametrize(
    "column", ["amount_minor = 1", "owner = 'bob'", "currency = 'USD'", "provider = 'x'", "destination = 'mine'",
               "tenant = 'globex'", "requested_by = 'x'", "business_date = '2026-01-01'", "id = gen_random_uuid()"]
)  # fmt: skip
def test_the_worker_cannot_change_whose_money_it_is(
    transaction: Transaction, payout_id: UUID, column: str
) -> None:
    assert refusal(transaction, "UPDATE payouts SET " + column) == INSUFFICIENT_PRIVILEGE  # noqa: S608 - our own


@pytest.mark.parametrize(
    ("statement", "owner_is_told"),
    [
        ("UPDATE payout_attempts SET provider_key = 'x'", None),
        ("UPDATE payout_attempts SET reference = 'x'", None),
        ("UPDATE payout_attempts SET first_used_at = now()", None),
        ("UPDATE payout_attempts SET key_valid_until = 'infinity'", None),
        ("UPDATE limit_reservations SET amount_minor = 1", None),
        ("DELETE FROM limit_reservations", None),
        ("DELETE FROM payouts", RESTRICT_VIOLATION),
        ("TRUNCATE payouts", RESTRICT_VIOLATION),
        ("DELETE FROM payout_attempts", RESTRICT_VIOLATION),
        ("UPDATE payout_events SET cause = 'x'", RESTRICT_VIOLATION),
        ("DELETE FROM payout_events", RESTRICT_VIOLATION),
        ("INSERT INTO payout_moves VALUES ('failed', 'paid')", RESTRICT_VIOLATION),
        ("UPDATE payout_moves SET to_state = 'paid'", RESTRICT_VIOLATION),
        ("DELETE FROM payout_moves", RESTRICT_VIOLATION),
    ],
)
def test_history_keys_and_moves_stay_as_they_are(
    transaction: Transaction, owner_transaction: Transaction, payout_id: UUID, statement: str,
    owner_is_told: str | None,
) -> None:  # fmt: skip
    assert refusal(transaction, statement) == INSUFFICIENT_PRIVILEGE
    if owner_is_told:
        assert refusal(owner_transaction, statement) == owner_is_told


ATTEMPT = """
    INSERT INTO payout_attempts (payout_id, attempt_no, tenant, provider, provider_key, reference, claim_version,
        outcome, started_at, first_used_at, key_valid_until, finished_at)
    VALUES (:payout_id, 2, 'acme', 'sandbox', :key, :reference, 1, :outcome, :now, :now, :now,
        CASE WHEN :outcome NOT IN ('sending', 'not_sent', 'in_doubt') THEN CAST(:now AS timestamptz) END)
"""


def second(payout_id: UUID, outcome: str, key: str = "key-2", reference: str = "ref-2") -> dict[str, Any]:
    return {"payout_id": payout_id, "outcome": outcome, "key": key, "reference": reference, "now": SOME}


@pytest.mark.parametrize("alive", LIVE_OUTCOMES)
def test_there_is_never_a_second_key_while_the_first_may_have_paid(
    cashier: Cashier, transaction: Transaction, alive: str
) -> None:
    found = cashier.opened(100)
    cashier.attempt(found, alive)
    for outcome in ATTEMPT_OUTCOMES:
        refused = pytest.raises(DBAPIError, match="payout_attempts_alive_idx")
        with undone(transaction) as session, refused if outcome in LIVE_OUTCOMES else nullcontext():
            session.execute(text(ATTEMPT), second(found, outcome))
    cashier.rows("UPDATE payout_attempts SET outcome = 'abandoned', finished_at = now() RETURNING payout_id")


def test_a_key_and_a_reference_are_used_by_one_attempt_only(
    cashier: Cashier, transaction: Transaction, payout_id: UUID
) -> None:
    other = cashier.opened(100)
    key, reference = attempt_key(payout_id, 1), attempt_reference(payout_id, 1)
    told = refusal(transaction, ATTEMPT, **second(other, "declined", key=key))
    assert told == f"{UNIQUE_VIOLATION} payout_attempts_provider_key_key"
    told = refusal(transaction, ATTEMPT, **second(other, "declined", reference=reference))
    assert told == f"{UNIQUE_VIOLATION} payout_attempts_tenant_provider_reference_key"


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("outcome = 'lost', finished_at = now()", "payout_attempts_outcome"),
        ("outcome = 'paid'", "payout_attempts_finished"),
        ("finished_at = now()", "payout_attempts_finished"),
        ("sends = 0", "payout_attempts_counts"),
    ],
)
def test_an_attempt_is_ended_or_it_is_not(
    transaction: Transaction, payout_id: UUID, change: str, constraint: str
) -> None:
    told = refusal(transaction, "UPDATE payout_attempts SET " + change)  # noqa: S608 - our own
    assert told == f"{CHECK_VIOLATION} {constraint}"
