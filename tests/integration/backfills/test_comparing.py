"""An older wallet against ours: whatever differs is told, from both sides, and the totals add up."""

from collections import defaultdict
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from models.backfills import comparing
from models.backfills.comparing import (
    Comparison,
    Difference,
    Mismatches,
    Row,
    compare,
    count_mismatches,
    differences,
    stage,
)
from models.ledger.codes import held_code, wallet_code
from models.money import BIGINT_MAX
from tests.integration.ledger.postings import credit, debit, move, posted
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")

OURS = {("ada", "EUR"): 100, ("ada", "USD"): 7, ("bob", "EUR"): 0, ("eve", "EUR"): 40}


@pytest.fixture
def ours(transaction: Transaction) -> None:
    """What OURS says: part of it held for payouts; and a wallet of another tenant's, under the same name."""
    posted(
        transaction,
        credit("ada", 100, "k1"),
        move(wallet_code("ada"), held_code("ada"), 30, "k2"),
        credit("ada", 7, "k3", currency="USD"),
        credit("bob", 5, "k4"),
        debit("bob", 5, "k5"),
        credit("eve", 40, "k6"),
        credit("ada", 900, "k1", tenant="globex"),
    )


def compared(transaction: Transaction, *rows: Row) -> tuple[Comparison, list[Difference]]:
    with transaction() as session:
        stage(session, rows)
        return compare(session, "acme"), differences(session)


def told(found: list[Difference]) -> list[tuple[str, str, str, int, int]]:
    return [(one.kind, one.owner, one.currency, one.old_minor, one.new_minor) for one in found]


@pytest.mark.usefixtures("ours")
def test_wallets_that_are_the_same_are_counted_and_not_listed(transaction: Transaction) -> None:
    comparison, found = compared(
        transaction, *((owner, currency, n) for (owner, currency), n in OURS.items())
    )
    assert (comparison.differing, comparison.repeated, found) == (0, 0, [])
    assert [(one.currency, one.agreeing, one.old_minor, one.new_minor) for one in comparison.totals] == [
        ("EUR", 3, 140, 140),
        ("USD", 1, 7, 7),
    ]


@pytest.mark.usefixtures("ours")
def test_what_differs_is_told_from_both_sides_the_largest_first(transaction: Transaction) -> None:
    comparison, found = compared(transaction, ("ada", "EUR", 99), ("zoe", "EUR", -250), ("eve", "EUR", 40))
    assert told(found) == [
        ("only_in_old", "zoe", "EUR", -250, 0),
        ("only_in_new", "ada", "USD", 0, 7),
        ("differs", "ada", "EUR", 99, 100),
    ]
    assert [one.difference_minor for one in found] == [250, 7, 1]
    assert comparison.differing == 3


@pytest.mark.usefixtures("ours")
def test_nothing_and_no_wallet_are_the_same(transaction: Transaction) -> None:
    rows = [("ada", "EUR", 100), ("ada", "USD", 7), ("eve", "EUR", 40), ("nobody", "EUR", 0)]
    comparison, found = compared(transaction, *rows)
    assert (comparison.differing, found) == (0, [])


@pytest.mark.usefixtures("ours")
def test_an_owner_who_is_named_twice_is_summed_and_told(transaction: Transaction) -> None:
    rows = [("ada", "EUR", 60), ("ada", "EUR", 40), ("ada", "USD", 7), ("eve", "EUR", 40), ("eve", "EUR", 40)]
    comparison, found = compared(transaction, *rows)
    assert told(found) == [("differs", "eve", "EUR", 80, 40), ("agrees", "ada", "EUR", 100, 100)]
    assert [one.old_rows for one in found] == [2, 2]
    assert (comparison.differing, comparison.repeated) == (1, 2)


@pytest.mark.usefixtures("ours")
def test_a_currency_or_a_case_of_another_kind_is_another_wallet(transaction: Transaction) -> None:
    _, found = compared(transaction, ("ada", "eur", 100), ("Ada", "EUR", 100), ("eve", "EUR", 40))
    assert {(one.kind, one.owner, one.currency) for one in found} == {
        ("only_in_old", "ada", "eur"),
        ("only_in_old", "Ada", "EUR"),
        ("only_in_new", "ada", "EUR"),
        ("only_in_new", "ada", "USD"),
    }


def test_names_of_any_kind_can_be_staged_and_sums_may_pass_bigint(transaction: Transaction) -> None:
    names = ["a\tb", "a\\b", "", "\\N", "é\u2028", "\0", "\ud800", '"']
    comparison, found = compared(transaction, *((name, "EUR", BIGINT_MAX) for name in names))
    assert comparison.totals[0].old_minor == BIGINT_MAX * len(names)
    assert sorted(one.owner for one in found) == sorted([*names[:5], "\ufffd", "?", '"'])


def test_the_next_comparison_of_a_transaction_begins_anew_and_stages_further(
    transaction: Transaction,
) -> None:
    with transaction() as session:
        assert stage(session, [("ada", "EUR", 1)]) == 1
        assert (compare(session, "acme").differing, compare(session, "globex").differing) == (1, 1)
        assert stage(session, [("bob", "EUR", 2)]) == 1
        assert compare(session, "acme").differing == 2
        assert len(differences(session)) == 2
    assert compared(transaction) == (Comparison([]), [])


def test_what_was_staged_goes_with_its_transaction(transaction: Transaction) -> None:
    with transaction() as session:
        stage(session, [("ada", "EUR", 1)])
    assert compared(transaction, ("bob", "EUR", 1))[0].differing == 1


def test_rows_are_read_as_they_come(transaction: Transaction, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparing, "CHUNK_ROWS", 3)
    with transaction() as session:
        assert stage(session, ((f"owner-{number}", "EUR", 1) for number in range(10))) == 10
        assert stage(session, iter([])) == 0
        assert compare(session, "acme").totals[0].old_rows == 10


def test_pages_are_of_each_wallet_once(transaction: Transaction) -> None:
    with transaction() as session:
        stage(session, ((f"owner-{number % 10}", "EUR", number) for number in range(25)))
        compare(session, "acme")
        assert list(walked(session, 4)) == differences(session, 100)
        assert len(differences(session, 0)) == 1


def walked(session: Session, limit: int) -> Iterator[Difference]:
    after = 0
    while page := differences(session, limit, after):
        yield from page
        after = page[-1].id


AMOUNTS = st.sampled_from([0, 1, 5, -5, 2**40])
ROWS = st.lists(
    st.tuples(st.sampled_from(["ada", "bob", "eve", "zoe"]), st.sampled_from(["EUR", "USD"]), AMOUNTS)
)


@pytest.mark.usefixtures("ours")
@settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
@given(ROWS)
def test_it_says_what_a_dozen_lines_of_python_say(transaction: Transaction, rows: list[Row]) -> None:
    old: dict[tuple[str, str], int] = defaultdict(int)
    for owner, currency, amount in rows:
        old[owner, currency] += amount
    names = old.keys() | OURS.keys()
    expected = {name: (old.get(name, 0), OURS.get(name, 0)) for name in names}
    comparison, found = compared(transaction, *rows)
    assert {
        (one.owner, one.currency): (one.old_minor, one.new_minor) for one in found if one.kind != "agrees"
    } == {name: both for name, both in expected.items() if both[0] != both[1]}
    for one in comparison.totals:
        moved = one.differing_minor - one.only_in_old_minor + one.only_in_new_minor
        assert one.new_minor == one.old_minor + moved
        assert one.old_rows == sum(currency == one.currency for _, currency, _ in rows)
        wallets = one.agreeing + one.differing + one.only_in_old + one.only_in_new
        assert wallets == sum(currency == one.currency for _, currency in names)


def test_what_shadow_mode_let_through_is_counted_by_currency(transaction: Transaction) -> None:
    postings = [debit("ada", 5, "k1"), debit("ada", 3, "k2"), debit("bob", 1, "k3"), credit("eve", 1, "k4")]
    posted(transaction, *postings, debit("ada", 9, "k5", currency="USD"), shadow=True)
    posted(transaction, debit("ada", 2, "k1", tenant="globex"), shadow=True)
    with transaction() as session:
        assert count_mismatches(session, "acme") == [Mismatches("EUR", 3, 2, 9), Mismatches("USD", 1, 1, 9)]
        assert count_mismatches(session, "nobody") == []
