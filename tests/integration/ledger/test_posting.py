"""post(): what is created, replayed and refused, on a real database."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from models.ledger.codes import house_code, wallet_code
from models.ledger.outcomes import Created, Leg, Posting, Refused, Replayed
from models.ledger.posting import post
from models.money import BIGINT_MAX
from tests.integration.ledger.postings import (
    NOON,
    assert_books_in_order,
    available,
    balance_of,
    credit,
    debit,
    move,
    posted,
    rows_of,
    transfer,
    words,
)
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")


def test_a_posting_moves_balances_and_says_what_they_are_now(transaction: Transaction) -> None:
    (outcome,) = posted(transaction, credit("ada", 700, "k1"))
    assert isinstance(outcome, Created)
    assert outcome.balances == (("house:promo", "EUR", -700), ("wallet:ada:available", "EUR", 700))
    assert available(transaction, "ada") == 700
    assert balance_of(transaction, house_code("promo")) == -700
    assert_books_in_order(transaction)


def test_a_transaction_records_what_was_asked_and_when(transaction: Transaction) -> None:
    job_id = uuid4()
    posted(transaction, credit("ada", 7, "k1", kind="wallets.credit", job_id=job_id, subject="deposit:x:1"))
    with transaction() as session:
        row = session.execute(text("SELECT * FROM ledger_transactions")).one()
    recorded = (row.tenant, row.kind, row.idempotency_key, row.subject, row.job_id, row.occurred_at)
    assert recorded == ("acme", "wallets.credit", "k1", "deposit:x:1", job_id, NOON)


def test_a_replay_writes_nothing_and_repeats_the_first_answer(transaction: Transaction) -> None:
    (first,) = posted(transaction, credit("ada", 700, "k1"))
    posted(transaction, credit("ada", 1, "k2"))
    (again,) = posted(transaction, credit("ada", 700, "k1"))
    assert isinstance(first, Created)
    assert again == Replayed(first.transaction_id, first.balances)
    assert available(transaction, "ada") == 701
    assert (rows_of(transaction, "ledger_transactions"), rows_of(transaction, "ledger_entries")) == (2, 4)


def test_time_and_job_are_not_part_of_what_makes_a_posting_the_same(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 700, "k1"))
    later = credit("ada", 700, "k1", occurred_at=NOON - timedelta(days=1), job_id=uuid4())
    assert words(posted(transaction, later)) == ["replayed"]


@pytest.mark.parametrize(
    "other",
    [
        credit("ada", 701, "k1"),
        credit("bob", 700, "k1"),
        credit("ada", 700, "k1", currency="USD"),
        credit("ada", 700, "k1", kind="other"),
        credit("ada", 700, "k1", subject="deposit:sandbox:1"),
        debit("ada", 700, "k1"),
    ],
    ids=["amount", "owner", "currency", "kind", "subject", "direction"],
)
def test_the_same_key_with_another_payload_is_a_conflict(transaction: Transaction, other: Posting) -> None:
    posted(transaction, credit("ada", 700, "k1"))
    assert posted(transaction, other) == [Refused("idempotency_conflict", {"key": "k1"})]
    assert available(transaction, "ada") == 700
    assert rows_of(transaction, "ledger_transactions") == 1


def test_repeating_the_debit_that_emptied_the_wallet_is_a_replay(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 700, "k1"))
    assert words(posted(transaction, debit("ada", 700, "k2"))) == ["created"]
    assert words(posted(transaction, debit("ada", 700, "k2"))) == ["replayed"]
    assert words(posted(transaction, debit("ada", 1, "k2"))) == ["idempotency_conflict"]
    assert words(posted(transaction, debit("ada", 1, "k3"))) == ["insufficient_funds"]


def test_a_debit_of_more_than_there_is_says_how_much_is_short(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 700, "k1"))
    assert posted(transaction, debit("ada", 701, "k2")) == [
        Refused("insufficient_funds", {"currency": "EUR", "short_minor": 1})
    ]
    assert available(transaction, "ada") == 700
    assert rows_of(transaction, "ledger_transactions") == 1


def test_a_refused_key_is_still_free(transaction: Transaction) -> None:
    assert words(posted(transaction, debit("ada", 5, "k1"))) == ["insufficient_funds"]
    posted(transaction, credit("ada", 5, "k2"))
    assert words(posted(transaction, debit("ada", 5, "k1"))) == ["created"]


def test_an_account_that_does_not_exist_has_nothing_to_give(transaction: Transaction) -> None:
    assert words(posted(transaction, transfer("nobody", "ada", 1, "k1"))) == ["insufficient_funds"]
    assert available(transaction, "nobody") == 0
    assert available(transaction, "ada") == 0


def test_money_in_one_currency_does_not_pay_in_another(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 700, "k1", currency="USD"))
    assert words(posted(transaction, debit("ada", 1, "k2"))) == ["insufficient_funds"]


def test_a_batch_takes_effect_in_order(transaction: Transaction) -> None:
    outcomes = posted(
        transaction,
        debit("ada", 50, "too-early"),
        credit("ada", 100, "credit"),
        debit("ada", 70, "pays"),
        debit("ada", 31, "one-too-many"),
        transfer("ada", "bob", 30, "rest"),
        debit("bob", 30, "through"),
    )
    expected = ["insufficient_funds", "created", "created", "insufficient_funds", "created", "created"]
    assert words(outcomes) == expected
    assert (available(transaction, "ada"), available(transaction, "bob")) == (0, 0)
    assert_books_in_order(transaction)


def test_the_balances_of_a_batch_run_along(transaction: Transaction) -> None:
    outcomes = posted(transaction, *(credit("ada", amount, f"k{amount}") for amount in (1, 2, 4)))
    after = [outcome.balances[1][2] for outcome in outcomes if isinstance(outcome, Created)]
    assert after == [1, 3, 7]


def test_a_duplicate_inside_a_batch_is_a_replay_of_the_first(transaction: Transaction) -> None:
    first, again, other = posted(
        transaction, credit("ada", 5, "k1"), credit("ada", 5, "k1"), credit("ada", 6, "k1")
    )
    assert isinstance(first, Created)
    assert again == Replayed(first.transaction_id, first.balances)
    assert other == Refused("idempotency_conflict", {"key": "k1"})
    assert available(transaction, "ada") == 5


def test_a_duplicate_of_a_refused_posting_is_judged_anew(transaction: Transaction) -> None:
    outcomes = posted(transaction, debit("ada", 5, "k1"), credit("ada", 5, "k2"), debit("ada", 5, "k1"))
    assert words(outcomes) == ["insufficient_funds", "created", "created"]


def test_a_whole_batch_again_is_a_whole_batch_of_replays(transaction: Transaction) -> None:
    batch = [credit("ada", 10, "k1"), debit("ada", 10, "k2"), transfer("ada", "bob", 1, "k3")]
    posted(transaction, *batch)
    assert words(posted(transaction, *batch)) == ["replayed", "replayed", "insufficient_funds"]
    assert available(transaction, "ada") == 0


def test_an_empty_batch_is_nothing(transaction: Transaction) -> None:
    assert posted(transaction) == []


def test_one_posting_may_hold_several_currencies(transaction: Transaction) -> None:
    legs = (
        Leg(house_code("fx"), "EUR", -100),
        Leg(wallet_code("ada"), "EUR", 100),
        Leg(house_code("fx"), "JPY", -16_000),
        Leg(wallet_code("ada"), "JPY", 16_000),
    )
    (outcome,) = posted(transaction, replace(credit("ada", 1, "k1"), legs=legs))
    assert isinstance(outcome, Created)
    assert (available(transaction, "ada"), available(transaction, "ada", currency="JPY")) == (100, 16_000)
    assert_books_in_order(transaction)


def test_a_posting_may_touch_one_account_twice(transaction: Transaction) -> None:
    legs = (
        Leg(house_code("promo"), "EUR", -100),
        Leg(wallet_code("ada"), "EUR", 100),
        Leg(wallet_code("ada"), "EUR", -100),
        Leg(house_code("fees"), "EUR", 100),
    )
    (outcome,) = posted(transaction, replace(credit("ada", 1, "k1"), legs=legs))
    assert isinstance(outcome, Created)
    assert [after for _, _, after in outcome.balances] == [-100, 100, 0, 100]
    assert_books_in_order(transaction)


def test_a_posting_is_judged_by_where_it_ends_and_not_on_the_way(transaction: Transaction) -> None:
    legs = (
        Leg(wallet_code("ada"), "EUR", -100),
        Leg(house_code("fees"), "EUR", 100),
        Leg(house_code("promo"), "EUR", -100),
        Leg(wallet_code("ada"), "EUR", 100),
    )
    assert words(posted(transaction, replace(credit("ada", 1, "k1"), legs=legs))) == ["created"]
    assert_books_in_order(transaction)


def test_the_largest_amount_goes_in_and_out(transaction: Transaction) -> None:
    outcomes = posted(transaction, credit("ada", BIGINT_MAX, "k1"))
    assert words(outcomes) == ["created"]
    assert available(transaction, "ada") == BIGINT_MAX
    assert words(posted(transaction, debit("ada", BIGINT_MAX, "k2"))) == ["created"]
    assert_books_in_order(transaction)


def test_a_balance_past_bigint_is_refused_and_does_not_sink_the_batch(transaction: Transaction) -> None:
    outcomes = posted(
        transaction,
        credit("ada", BIGINT_MAX, "k1"),
        credit("ada", 1, "k2"),
        move(house_code("other"), wallet_code("ada"), 1, "k3"),
        move(house_code("other"), wallet_code("bob"), 1, "k4"),
    )
    assert words(outcomes) == ["created", "amount_out_of_range", "amount_out_of_range", "created"]
    assert available(transaction, "ada") == BIGINT_MAX
    assert_books_in_order(transaction)


def test_a_requirement_must_stand_before(transaction: Transaction) -> None:
    needy = credit("ada", 1, "k2", requires="k1")
    assert posted(transaction, needy, credit("ada", 1, "k1")) == [
        Refused("requirement_missing", {"requires": "k1"}),
        Created(1, (("house:promo", "EUR", -1), ("wallet:ada:available", "EUR", 1))),
    ]
    assert words(posted(transaction, needy)) == ["created"]


def test_a_requirement_may_stand_earlier_in_the_batch(transaction: Transaction) -> None:
    outcomes = posted(transaction, credit("ada", 1, "k1"), credit("ada", 1, "k2", requires="k1"))
    assert words(outcomes) == ["created", "created"]


def test_a_refused_posting_meets_no_requirement(transaction: Transaction) -> None:
    outcomes = posted(transaction, debit("ada", 1, "k1"), credit("ada", 1, "k2", requires="k1"))
    assert words(outcomes) == ["insufficient_funds", "requirement_missing"]


def test_another_tenants_transaction_meets_no_requirement(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 1, "k1", tenant="globex"))
    assert words(posted(transaction, credit("ada", 1, "k2", requires="k1"))) == ["requirement_missing"]


def test_tenants_in_one_batch_share_neither_money_nor_keys(transaction: Transaction) -> None:
    outcomes = posted(
        transaction,
        credit("ada", 100, "k1", tenant="acme"),
        debit("ada", 100, "k2", tenant="globex"),
        credit("ada", 30, "k1", tenant="globex"),
        debit("ada", 100, "k2", tenant="acme"),
    )
    assert words(outcomes) == ["created", "insufficient_funds", "created", "created"]
    assert available(transaction, "ada", tenant="acme") == 0
    assert available(transaction, "ada", tenant="globex") == 30
    again = [credit("ada", 30, "k1", tenant="globex"), credit("ada", 100, "k1", tenant="acme")]
    assert words(posted(transaction, *again)) == ["replayed", "replayed"]
    assert_books_in_order(transaction)


@pytest.mark.parametrize(
    ("occurred_at", "recorded"),
    [
        (NOON + timedelta(seconds=1), NOON),
        (NOON, NOON),
        (NOON - timedelta(days=400), NOON - timedelta(days=400)),
    ],
    ids=["ahead", "now", "long ago"],
)
def test_no_posting_occurs_in_the_future(
    transaction: Transaction, occurred_at: datetime, recorded: datetime
) -> None:
    posted(transaction, credit("ada", 1, "k1", occurred_at=occurred_at))
    with transaction() as session:
        found = session.execute(text("SELECT occurred_at FROM ledger_transactions")).scalar_one()
    assert found == recorded


def test_a_naive_now_is_a_bug_of_the_caller(transaction: Transaction) -> None:
    with transaction() as session, pytest.raises(ValueError, match="aware"):
        post(session, [credit("ada", 1, "k1")], now=datetime(2026, 3, 14))  # noqa: DTZ001 - the point


def test_what_is_rolled_back_never_was(transaction: Transaction) -> None:
    with transaction() as session:
        post(session, [credit("ada", 5, "k1")], now=NOON)
        session.rollback()
    assert available(transaction, "ada") == 0
    assert words(posted(transaction, credit("ada", 5, "k1"))) == ["created"]


def test_a_wallet_inherits_the_overdraft_of_its_owner_and_the_held_side_does_not(
    transaction: Transaction,
) -> None:
    with transaction() as session:
        session.execute(
            text("INSERT INTO wallet_owners VALUES ('acme', 'ada', 'verified', true, :now)"), {"now": NOON}
        )
    assert words(posted(transaction, debit("ada", 5, "k1"))) == ["created"]
    assert available(transaction, "ada") == -5
    held_first = move("wallet:ada:held", house_code("promo"), 1, "k2")
    assert words(posted(transaction, held_first)) == ["insufficient_funds"]
    assert words(posted(transaction, debit("ada", 1, "k1", tenant="globex"))) == ["insufficient_funds"]
    assert_books_in_order(transaction)
