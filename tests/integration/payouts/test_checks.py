"""verify() on payouts: each invariant is broken once, around the code, and is the one that is reported."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from models.ledger.verify import verify
from models.payouts.checks import PAYOUT_INVARIANTS, STUCK_MINUTES
from models.payouts.states import STATES
from tests.integration.payouts.histories import Histories
from worker.database import Transaction

UNGUARDED = """
    ALTER TABLE payouts DISABLE TRIGGER USER;
    ALTER TABLE payout_attempts DISABLE TRIGGER USER;
    ALTER TABLE payout_events DISABLE TRIGGER USER;
    ALTER TABLE ledger_transactions DISABLE TRIGGER USER;
    ALTER TABLE ledger_entries DISABLE TRIGGER USER;
    ALTER TABLE accounts DISABLE TRIGGER USER;
    DROP INDEX payout_attempts_alive_idx;
"""
SECOND = """
    INSERT INTO payout_attempts (payout_id, attempt_no, tenant, provider, provider_key, reference, claim_version,
        outcome, started_at, first_used_at, key_valid_until, finished_at)
    SELECT payout_id, 2, tenant, provider, provider_key || '2', reference || '2', claim_version, '{outcome}',
        started_at, first_used_at, key_valid_until, {finished} FROM payout_attempts WHERE payout_id = '{id}';
"""
SET = "UPDATE payouts SET {what} WHERE id = '{id}';"
SET_STRIPE = "UPDATE payouts SET provider = 'stripe' WHERE id = '{id}';"
ATTEMPTS_AT_STRIPE = "UPDATE payout_attempts SET provider = 'stripe' WHERE payout_id = '{id}';"
KIND = "UPDATE ledger_transactions SET kind = '{to}' WHERE subject = 'hold:{id}' AND kind = '{kind}';"
BREAKS: dict[str, tuple[str, str, set[str]]] = {
    "an open payout whose money is not held": (
        "approved", SET.format(what="amount_minor = 499", id="{id}"),
        {"held_money_is_that_of_open_payouts", "payout_transactions_move_its_amount",
         "reservations_agree_with_their_payout"},
    ),
    "held money of nobody's": (
        "approved",
        "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE code LIKE '%held';",
        {"held_money_is_that_of_open_payouts", "balances_equal_their_entries"},
    ),
    "a hold of no payout": (
        "paid",
        "UPDATE ledger_transactions SET subject = 'hold:nobody' WHERE subject = 'hold:{id}';",
        {"holds_belong_to_payouts", "payouts_are_settled_as_their_state_says"},
    ),
    "a paid payout that was released": (
        "paid", KIND.format(kind="hold.captured", to="hold.released", id="{id}"),
        {"payouts_are_settled_as_their_state_says", "payout_transactions_move_its_amount"},
    ),
    "a failed payout that was captured": (
        "failed", KIND.format(kind="hold.released", to="hold.captured", id="{id}"),
        {"payouts_are_settled_as_their_state_says", "payout_transactions_move_its_amount"},
    ),
    "a cancelled payout whose money is still held": (
        "cancelled",
        "UPDATE ledger_transactions SET subject = NULL WHERE subject = 'hold:{id}' AND kind = 'hold.released';",
        {"payouts_are_settled_as_their_state_says"},
    ),
    "a returned payout that was not brought back": (
        "returned",
        "UPDATE ledger_transactions SET subject = NULL WHERE subject = 'hold:{id}' AND kind = 'payout.returned';",
        {"payouts_are_settled_as_their_state_says"},
    ),
    "a payout brought back though it is paid": (
        "returned", SET.format(what="state = 'paid'", id="{id}"),
        {"payouts_are_settled_as_their_state_says", "attempts_agree_with_their_payout",
         "reservations_agree_with_their_payout", "payout_history_leads_to_its_state"},
    ),
    "a payout captured at another provider": (
        "paid",
        SET_STRIPE + ATTEMPTS_AT_STRIPE,
        {"payout_transactions_move_its_amount"},
    ),
    "a request that is done and made no payout": (
        "approved", "UPDATE jobs SET id = gen_random_uuid() WHERE id = '{id}';",
        {"done_payout_requests_have_their_payout"},
    ),
    "a refused request with a payout": (
        "approved", "UPDATE jobs SET state = 'refused' WHERE id = '{id}';",
        {"done_payout_requests_have_their_payout"},
    ),
    "two attempts alive": (
        "in_doubt", SECOND.format(outcome="sending", finished="NULL", id="{id}"),
        {"one_attempt_is_alive", "attempts_agree_with_their_payout"},
    ),
    "two attempts taken": (
        "paid", SECOND.format(outcome="returned", finished="started_at", id="{id}"),
        {"one_attempt_was_taken", "attempts_agree_with_their_payout"},
    ),
    "an ended payout with an attempt alive": (
        "failed",
        "UPDATE payout_attempts SET outcome = 'in_doubt', finished_at = NULL WHERE payout_id = '{id}';",
        {"attempts_agree_with_their_payout"},
    ),
    "a submitted payout without an attempt": (
        "submitted", "DELETE FROM payout_attempts WHERE payout_id = '{id}';", {"attempts_agree_with_their_payout"},
    ),
    "a claim of another version": (
        "sending", SET.format(what="claim_version = 7", id="{id}"), {"attempts_agree_with_their_payout"},
    ),
    "an attempt at another provider": (
        "cooling", ATTEMPTS_AT_STRIPE,
        {"attempts_belong_to_their_payout"},
    ),
    "an attempt of no payout": (
        "approved",
        "UPDATE payout_attempts SET payout_id = gen_random_uuid() WHERE error_code = 'bank_busy';",
        {"attempts_belong_to_their_payout"},
    ),
    "a reservation given back too early": (
        "in_doubt", "UPDATE limit_reservations SET released_at = now() WHERE payout_id = '{id}';",
        {"reservations_agree_with_their_payout"},
    ),
    "a reservation kept too long": (
        "failed", "UPDATE limit_reservations SET released_at = NULL WHERE payout_id = '{id}';",
        {"reservations_agree_with_their_payout"},
    ),
    "a payout without a reservation": (
        "paid", "DELETE FROM limit_reservations WHERE payout_id = '{id}';",
        {"reservations_agree_with_their_payout"},
    ),
    "a reservation of no payout": (
        "paid",
        """INSERT INTO limit_reservations
            SELECT gen_random_uuid(), tenant, owner, currency, business_date, 1, now() FROM payouts
            WHERE id = '{id}';""",
        {"reservations_agree_with_their_payout"},
    ),
    "a history that ends elsewhere": (
        "submitted", "UPDATE payout_events SET to_state = 'in_doubt' WHERE payout_id = '{id}' AND version = 3;",
        {"payout_history_leads_to_its_state"},
    ),
    "a history with a gap": (
        "paid", "DELETE FROM payout_events WHERE payout_id = '{id}' AND version = 2;",
        {"payout_history_leads_to_its_state"},
    ),
    "a history that does not follow": (
        "paid", "UPDATE payout_events SET from_state = 'cooling' WHERE payout_id = '{id}' AND version = 3;",
        {"payout_history_leads_to_its_state"},
    ),
    "a payout sending long after its claim": (
        "sending", SET.format(what="claimed_until = claimed_until - interval '1 day'", id="{id}"),
        {"payouts_are_not_stuck"},
    ),
    "a payout in doubt that nobody asks about": (
        "in_doubt", SET.format(what="next_lookup_at = next_lookup_at - interval '1 day'", id="{id}"),
        {"payouts_are_not_stuck"},
    ),
    "a submitted payout that nobody asks about": (
        "submitted", SET.format(what="next_lookup_at = next_lookup_at - interval '3 days'", id="{id}"),
        {"payouts_are_not_stuck"},
    ),
    "a submitted payout that nobody will ever ask about": (
        "submitted", SET.format(what="next_lookup_at = NULL", id="{id}"), {"payouts_are_not_stuck"},
    ),
}  # fmt: skip


@pytest.fixture
def histories(transaction: Transaction, tenant: str, now: datetime) -> Histories:
    return Histories(transaction, now, tenant)


@pytest.fixture
def made(histories: Histories) -> Mapping[str, UUID]:
    return histories.every_state()


def broken(histories: Histories, tenant: str | None = None) -> dict[str, list[tuple[str, str]]]:
    with histories.transaction() as session:
        checks = verify(session, tenant, now=histories.now)
    return {one.name: [(row.tenant, row.subject) for row in one.broken] for one in checks if one.broken}


def test_payouts_in_every_state_break_nothing(histories: Histories, made: Mapping[str, UUID]) -> None:
    assert set(made) == set(STATES)
    assert broken(histories) == {}


def test_every_invariant_is_broken_here() -> None:
    assert set().union(*(names for _, _, names in BREAKS.values())) >= {one.name for one in PAYOUT_INVARIANTS}


def test_every_invariant_says_what_it_means_and_what_to_do() -> None:
    assert all(one.meaning and one.remedy for one in PAYOUT_INVARIANTS)


@pytest.mark.parametrize("case", BREAKS)
def test_what_is_broken_is_found_under_its_name_and_for_its_tenant(
    histories: Histories, made: Mapping[str, UUID], owner_transaction: Transaction, case: str
) -> None:
    state, statements, names = BREAKS[case]
    with owner_transaction() as session:
        session.execute(text(UNGUARDED))
        session.execute(text(statements.format(id=made[state]).replace("hold:", r"hold\:")))
    found = broken(histories)
    assert set(found) == names
    assert {tenant for rows in found.values() for tenant, _ in rows} == {"acme"}
    assert broken(histories, "acme") == found
    assert broken(histories, "globex") == {}


def test_what_is_stuck_is_asked_only_with_the_time(histories: Histories, made: Mapping[str, UUID]) -> None:
    with histories.transaction() as session:
        assert [one for one in verify(session) if one.broken] == []
        late = histories.now + timedelta(minutes=STUCK_MINUTES + 1)
        found = [one for one in verify(session, now=late) if one.broken]
    assert [one.name for one in found] == ["payouts_are_not_stuck"]
    assert {row.subject for one in found for row in one.broken} == {
        f"payout:{made['sending']}",
        f"payout:{made['in_doubt']}",
    }
