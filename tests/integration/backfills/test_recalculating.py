"""wallet_recalc: every account of a tenant or an owner is looked at once; what drifted is set right, up to the cap."""

import re
from dataclasses import dataclass
from datetime import datetime
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import text

from models.backfills.quarantine import all_quarantined
from models.backfills.runs import Run
from models.backfills.tables import QUARANTINE_STATES
from models.ledger.posting import post
from models.ledger.recalc import find_drift
from tasks.backfills import service
from tasks.backfills.throttle import surroundings
from tests.integration.backfills.working import hands, set_aside, started, worked
from tests.integration.ledger.postings import broken, credit, posted
from tests.waiting import until
from worker.database import Transaction

OWNERS = 250
OVERDRAWN = text("""
    ALTER TABLE ledger_entries DISABLE TRIGGER USER;
    INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
    SELECT min(t.id), a.id, -30, -20 FROM ledger_transactions t, accounts a
    WHERE a.owner = 'p007' GROUP BY a.id;
""")


@dataclass
class Books:
    """A tenant with many wallets, and somebody who writes around the ledger."""

    transaction: Transaction
    owner: Transaction
    now: datetime

    def drift(self, by: int, where: str) -> None:
        with self.owner() as session:
            session.execute(text(f"UPDATE accounts SET balance_minor = balance_minor + {by} WHERE {where}"))  # noqa: S608

    def recalc(self, batches: int = 10_000, source: dict[str, Any] | None = None, **more: Any) -> Run:
        ready = hands(self.transaction, self.now)
        told = {"type": "wallets"} | (source or {})
        run_id = started(ready, "wallet_recalc", told, **({"batch_rows": 40} | more))
        return worked(ready, run_id, batches)

    def audits(self) -> list[dict[str, Any]]:
        query = text("SELECT * FROM audit_events WHERE action = 'account.recalculated' ORDER BY id")
        with self.transaction() as session:
            return [dict(row) for row in session.execute(query).mappings()]

    def drifted(self) -> list[str]:
        with self.transaction() as session:
            return sorted(one.code for one in find_drift(session, tenant="acme"))

    def waiting(self) -> int:
        with self.transaction() as session:
            return surroundings(session, self.now).waiting

    def balances(self) -> list[int]:
        query = text("SELECT balance_minor FROM accounts ORDER BY id")
        with self.transaction() as session:
            return list(session.execute(query).scalars())


@pytest.fixture
def books(transaction: Transaction, owner_transaction: Transaction, tenant: str, now: datetime) -> Books:
    """OWNERS wallets with 10 each and the house's; globex has another."""
    posted(transaction, *(credit(f"p{n:03}", 10, f"k{n}") for n in range(OWNERS)))
    posted(transaction, credit("p001", 5, "g", tenant="globex"))
    return Books(transaction, owner_transaction, now)


def counts(run: Run) -> tuple[str, int, int, int, int]:
    return run.state, run.rows_read, run.posted, run.unchanged, run.quarantined


def test_no_drift_leaves_everything_as_it_is(books: Books) -> None:
    before = books.balances()
    run = books.recalc()
    assert (counts(run), run.rows_total, run.money) == (
        ("done", OWNERS + 1, 0, OWNERS + 1, 0),
        OWNERS + 1,
        {},
    )
    assert (books.balances(), books.audits()) == (before, [])


def test_what_drifted_is_set_right_once_audited_and_counted(books: Books) -> None:
    books.drift(7, "owner LIKE 'p1%' AND tenant = 'acme'")
    books.drift(-3, "owner = 'p007'")
    books.drift(50, "tenant = 'globex'")
    run = books.recalc()
    assert counts(run) == ("done", OWNERS + 1, 101, OWNERS - 100, 0)
    assert run.money == {"EUR": {"posted": 703}}
    assert books.drifted() == []
    audits = books.audits()
    assert len(audits) == 101
    assert {(one["actor"], one["reason"], one["detail"]["run"]) for one in audits} == {
        ("ops", "moving", str(run.id))
    }
    again = books.recalc()
    assert (again.posted, len(books.audits())) == (0, 101)
    with books.transaction() as session:
        assert set(broken(session, "globex"))


def test_a_dry_run_says_what_the_run_then_does_and_does_nothing(books: Books) -> None:
    books.drift(7, "owner LIKE 'p1%' AND tenant = 'acme'")
    before = books.balances()
    told = books.recalc(dry_run=True)
    assert (books.balances(), books.audits()) == (before, [])
    done = books.recalc()
    assert (counts(told), told.money) == (counts(done), done.money)
    assert told.posted == 100


def test_one_owner_alone(books: Books) -> None:
    books.drift(7, "owner IN ('p001', 'p002')")
    run = books.recalc(source={"owner": "p001"})
    assert counts(run) == ("done", 1, 1, 0, 0)
    assert books.drifted() == ["wallet:p002:available"]
    nobody = books.recalc(source={"owner": "nobody"})
    assert (nobody.state, nobody.pause_code) == ("paused", "source_failed")
    assert "no wallet of nobody" in str(nobody.last_error)


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("cap", "repaired"), [(0, 0), (6, 0), (7, 1), (27, 3), (10**6, 100)])
def test_a_cap_is_never_passed_and_the_run_stops_before_the_row_that_would(
    books: Books, dry_run: bool, cap: int, repaired: int
) -> None:
    books.drift(7, "owner LIKE 'p1%' AND tenant = 'acme'")
    run = books.recalc(max_amount_minor=cap, dry_run=dry_run)
    assert run.posted == repaired
    assert run.posted_minor("EUR") == 7 * repaired <= cap
    assert (run.state, run.pause_code) == (("done", None) if repaired == 100 else ("paused", "cap_reached"))
    assert repaired == 100 or re.fullmatch(
        rf"account \d+ would move 0\.07 EUR; .* It goes on with --max-amount-minor {7 * repaired + 7} or more",
        str(run.last_error),
    )
    assert len(books.audits()) == (0 if dry_run else repaired)


def test_a_run_whose_cap_is_raised_goes_on_with_the_row_that_stopped_it(books: Books) -> None:
    books.drift(7, "owner LIKE 'p1%' AND tenant = 'acme'")
    run = books.recalc(max_amount_minor=20)
    with books.transaction() as session:
        service.resume(session, run.id, actor="ops", reason="all of it", now=books.now, max_amount_minor=700)
    run = worked(hands(books.transaction, books.now), run.id)
    assert counts(run) == ("done", OWNERS + 1, 100, OWNERS - 99, 0)
    assert (run.posted_minor("EUR"), books.drifted()) == (700, [])


def test_what_cannot_be_repaired_is_set_aside_with_the_reason(books: Books) -> None:
    with books.owner() as session:
        session.execute(OVERDRAWN)
    run = books.recalc()
    assert counts(run) == ("done", OWNERS + 1, 0, OWNERS, 1)
    [row] = set_aside(books.transaction, run.id)
    assert (row.code, "wallet:p007:available" in row.raw) == ("unrepairable", True)
    assert books.drifted() == ["wallet:p007:available"]


def test_what_could_not_be_set_right_is_closed_once_it_agrees(books: Books) -> None:
    with books.owner() as session:
        session.execute(OVERDRAWN)
    first, again = books.recalc(), books.recalc()
    assert [aside_states(books, run) for run in (first, again)] == [["open"], ["open"]]
    posted(books.transaction, credit("p007", 100, "what was missing"))
    dry = books.recalc(dry_run=True)
    assert [aside_states(books, run) for run in (first, again)] == [["open"], ["open"]]
    last = books.recalc()
    assert (dry.posted, last.posted, books.drifted()) == (1, 1, [])
    assert [aside_states(books, run) for run in (first, again)] == [["corrected"], ["corrected"]]


def aside_states(books: Books, run: Run) -> list[str]:
    with books.transaction() as session:
        return [row.state for row in all_quarantined(session, run.id, states=QUARANTINE_STATES)]


def test_accounts_that_are_opened_meanwhile_are_looked_at_too(books: Books) -> None:
    ready = hands(books.transaction, books.now)
    run_id = started(ready, "wallet_recalc", {"type": "wallets"}, batch_rows=40)
    worked(ready, run_id, batches_max=3)
    posted(books.transaction, credit("late", 10, "late"))
    books.drift(7, "owner = 'late'")
    run = worked(ready, run_id)
    assert (run.state, run.posted, run.rows_read) == ("done", 1, OWNERS + 2)
    assert books.drifted() == []


def test_money_that_moves_while_an_account_is_set_right_is_not_lost(books: Books) -> None:
    books.drift(7, "owner = 'p000'")
    done: list[Run] = []
    with books.transaction() as session:
        post(session, [credit("p000", 100, "meanwhile")], now=books.now)
        thread = Thread(target=lambda: done.append(books.recalc()))
        thread.start()
        until(lambda: books.waiting() == 1, what="the run that waits for the account")
    thread.join(30)
    assert [run.state for run in done] == ["done"]
    assert books.drifted() == []
    with books.transaction() as session:
        balance = text("SELECT balance_minor FROM accounts WHERE owner = 'p000'")
        assert session.execute(balance).scalar_one() == 110


def test_accounts_that_have_not_drifted_are_not_waited_for(books: Books) -> None:
    """A posting that is under way holds its accounts: who only reads them goes past."""
    with books.transaction() as session:
        post(session, [credit("p000", 100, "under way")], now=books.now)
        run = books.recalc()
    assert counts(run) == ("done", OWNERS + 1, 0, OWNERS + 1, 0)
