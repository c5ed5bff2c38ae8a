"""Postings of one group stand or fall together."""

import pytest

from models.errors import MalformedPosting
from models.ledger.outcomes import Created, Refused, Replayed
from tests.integration.ledger.postings import (
    assert_books_in_order,
    available,
    credit,
    debit,
    posted,
    rows_of,
    transfer,
    words,
)
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")


def test_a_group_whose_members_all_may_stand_stands(transaction: Transaction) -> None:
    outcomes = posted(
        transaction, credit("ada", 5, "k1", group="g"), transfer("ada", "bob", 5, "k2", group="g")
    )
    assert words(outcomes) == ["created", "created"]
    assert available(transaction, "bob") == 5


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_refusal_refuses_the_group_wherever_it_is(transaction: Transaction, place: int) -> None:
    group = [credit("ada", 5, "k1", group="g"), credit("bob", 5, "k2", group="g")]
    group.insert(place, debit("eve", 1, "k3", group="g"))
    expected = ["group_refused", "group_refused"]
    expected.insert(place, "insufficient_funds")
    assert words(posted(transaction, *group)) == expected
    assert rows_of(transaction, "ledger_transactions") == 0
    assert (available(transaction, "ada"), available(transaction, "bob")) == (0, 0)


def test_a_refused_group_leaves_neither_money_nor_keys_to_those_behind_it(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 10, "k0"))
    outcomes = posted(
        transaction,
        credit("ada", 100, "k1", group="g"),
        debit("ada", 60, "k2", group="g"),
        debit("eve", 1, "k3", group="g"),
        debit("ada", 11, "k4"),
        debit("ada", 10, "k5"),
        credit("ada", 7, "k1"),
        credit("ada", 1, "k6", requires="k2"),
    )
    assert words(outcomes) == [
        "group_refused",
        "group_refused",
        "insufficient_funds",
        "insufficient_funds",
        "created",
        "created",
        "requirement_missing",
    ]
    assert available(transaction, "ada") == 7
    assert_books_in_order(transaction)


def test_a_group_again_is_a_group_of_replays(transaction: Transaction) -> None:
    group = [credit("ada", 5, "k1", group="g"), debit("ada", 5, "k2", group="g")]
    posted(transaction, *group)
    assert words(posted(transaction, *group)) == ["replayed", "replayed"]


def test_a_replay_in_a_refused_group_stays_a_replay(transaction: Transaction) -> None:
    (first,) = posted(transaction, credit("ada", 5, "k1"))
    assert isinstance(first, Created)
    outcomes = posted(
        transaction,
        credit("ada", 5, "k1", group="g"),
        credit("ada", 5, "k2", group="g"),
        debit("eve", 1, "k3", group="g"),
    )
    assert outcomes[0] == Replayed(first.transaction_id, first.balances)
    assert words(outcomes) == ["replayed", "group_refused", "insufficient_funds"]
    assert available(transaction, "ada") == 5


def test_a_replay_does_not_refuse_its_group(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 5, "k1"))
    outcomes = posted(transaction, credit("ada", 5, "k1", group="g"), credit("ada", 5, "k2", group="g"))
    assert words(outcomes) == ["replayed", "created"]


def test_a_conflict_refuses_its_group(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 5, "k1"))
    outcomes = posted(transaction, credit("ada", 6, "k1", group="g"), credit("ada", 5, "k2", group="g"))
    assert words(outcomes) == ["idempotency_conflict", "group_refused"]


def test_a_posting_repeated_inside_a_refused_group_is_refused_with_it(transaction: Transaction) -> None:
    outcomes = posted(
        transaction,
        credit("ada", 5, "k1", group="g"),
        credit("ada", 5, "k1", group="g"),
        debit("eve", 1, "k2", group="g"),
    )
    assert words(outcomes) == ["group_refused", "group_refused", "insufficient_funds"]
    assert rows_of(transaction, "ledger_transactions") == 0


def test_a_refused_group_does_not_touch_the_group_beside_it(transaction: Transaction) -> None:
    outcomes = posted(
        transaction,
        credit("ada", 5, "k1", group="a"),
        debit("eve", 1, "k2", group="a"),
        credit("ada", 5, "k3", group="b"),
        debit("ada", 5, "k4", group="b"),
    )
    assert words(outcomes) == ["group_refused", "insufficient_funds", "created", "created"]


def test_two_tenants_groups_of_one_name_are_two_groups(transaction: Transaction) -> None:
    outcomes = posted(
        transaction,
        credit("ada", 5, "k1", group="g", tenant="acme"),
        debit("eve", 1, "k1", group="g", tenant="globex"),
    )
    assert words(outcomes) == ["created", "insufficient_funds"]


def test_a_group_torn_apart_is_a_bug_of_the_caller_and_writes_nothing(transaction: Transaction) -> None:
    torn = [credit("ada", 5, "k1", group="g"), credit("ada", 5, "k2"), credit("ada", 5, "k3", group="g")]
    with pytest.raises(MalformedPosting, match="group g"):
        posted(transaction, *torn)
    assert rows_of(transaction, "ledger_transactions") == 0


def test_the_members_of_a_refused_group_give_no_detail_of_the_others(transaction: Transaction) -> None:
    outcomes = posted(transaction, credit("ada", 5, "k1", group="g"), debit("eve", 1, "k2", group="g"))
    assert outcomes[0] == Refused("group_refused", {})
