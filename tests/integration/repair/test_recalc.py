"""Recalculation: a balance that was changed by hand is found, told, and set right from the entries."""

from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from models.ledger.posting import post
from models.ledger.recalc import ROWS_MAX, Drift, find_broken_runs, find_drift, repair
from tests.integration.ledger.postings import NOON, broken, credit, posted
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")
CODE = "wallet:ada:available"


def drift(owner_transaction: Transaction, by: int, code: str = CODE) -> None:
    with owner_transaction() as session:
        session.execute(
            text("UPDATE accounts SET balance_minor = balance_minor + :by WHERE code = :code"),
            {"by": by, "code": code},
        )


def found(transaction: Transaction, **wanted: Any) -> list[Drift]:
    with transaction() as session:
        return find_drift(session, **wanted)


def repaired(transaction: Transaction, *ids: int) -> list[Drift]:
    with transaction() as session:
        return repair(session, ids, actor="ops", reason="drift", run=uuid4(), now=NOON)


def test_no_drift_is_found_where_there_is_none(transaction: Transaction) -> None:
    posted(transaction, credit("ada", 100, "k1"))
    assert found(transaction) == []
    with transaction() as session:
        assert find_broken_runs(session) == []


@pytest.mark.parametrize("by", [50, -30, -100])
def test_drift_is_set_right_and_audited(
    transaction: Transaction, owner_transaction: Transaction, by: int
) -> None:
    posted(transaction, credit("ada", 100, "k1"), credit("bob", 5, "k2"))
    drift(owner_transaction, by)
    [one] = found(transaction)
    assert (one.tenant, one.code, one.balance_minor, one.entries_minor) == ("acme", CODE, 100 + by, 100)
    assert one.repairable
    assert repaired(transaction, one.account_id) == [one]
    assert (found(transaction), repaired(transaction, one.account_id)) == ([], [])
    with transaction() as session:
        assert broken(session) == {}
        [audit] = session.execute(text("SELECT * FROM audit_events")).mappings()
    assert (audit["actor"], audit["action"]) == ("ops", "account.recalculated")
    assert audit["subject"] == f"account:{one.account_id}"
    assert (audit["detail"]["was_minor"], audit["detail"]["is_minor"]) == (100 + by, 100)


def test_of_a_tenant_or_an_owner_alone(transaction: Transaction, owner_transaction: Transaction) -> None:
    posted(transaction, credit("ada", 1, "k"), credit("bob", 1, "k2"), credit("ada", 1, "k", tenant="globex"))
    drift(owner_transaction, 7)
    drift(owner_transaction, 7, "house:promo")
    assert [one.tenant for one in found(transaction)].count("acme") == 2
    assert {one.code for one in found(transaction, tenant="globex")} == {CODE, "house:promo"}
    assert [one.code for one in found(transaction, tenant="acme", owner="ada")] == [CODE]
    assert found(transaction, tenant="acme", owner="bob") == []
    first, *_ = found(transaction)
    assert first not in found(transaction, after=first.account_id)


def test_a_wallet_whose_entries_are_below_zero_is_unrepairable_until_they_are_not(
    transaction: Transaction, owner_transaction: Transaction
) -> None:
    posted(transaction, credit("ada", 100, "k1"))
    with owner_transaction() as session:
        session.execute(
            text("""
            ALTER TABLE ledger_entries DISABLE TRIGGER USER;
            INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
            SELECT t.id, a.id, -130, -30 FROM ledger_transactions t, accounts a WHERE a.owner = 'ada';
        """)
        )
    [one] = found(transaction)
    assert (one.entries_minor, one.repairable) == (-30, False)
    assert repaired(transaction, one.account_id) == []
    posted(transaction, credit("ada", 40, "k2"))
    [one] = found(transaction)
    assert (one.balance_minor, one.entries_minor, one.repairable) == (140, 10, True)
    assert repaired(transaction, one.account_id) == [one]
    assert found(transaction) == []
    with transaction() as session:
        [run] = find_broken_runs(session, owner="ada")
    assert (run.account_id, run.entries) == (one.account_id, 1)


def test_money_that_moves_meanwhile_is_not_lost(
    transaction: Transaction, owner_transaction: Transaction
) -> None:
    posted(transaction, credit("ada", 100, "k1"))
    drift(owner_transaction, 5)
    [one] = found(transaction)
    threads: list[Thread] = []
    with transaction() as session:
        post(session, [credit("ada", 10, "k2")], now=NOON)
        threads.append(Thread(target=lambda: repaired(transaction, one.account_id)))
        threads[0].start()
        threads[0].join(0.3)
        assert threads[0].is_alive()
    threads[0].join(120)
    assert found(transaction) == []
    with transaction() as session:
        balance = session.execute(
            text("SELECT balance_minor FROM accounts WHERE code = :code"), {"code": CODE}
        )
        assert balance.scalar_one() == 110


def test_pages_go_on_where_the_one_before_ended(
    transaction: Transaction, owner_transaction: Transaction
) -> None:
    posted(transaction, *(credit(f"p{n}", 1, f"k{n}") for n in range(ROWS_MAX + 5)))
    with owner_transaction() as session:
        session.execute(text("UPDATE accounts SET balance_minor = 2 WHERE owner IS NOT NULL"))
    first = found(transaction)
    rest = found(transaction, after=first[-1].account_id)
    assert (len(first), len(rest)) == (ROWS_MAX, 5)
