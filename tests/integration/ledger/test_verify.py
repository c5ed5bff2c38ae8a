"""verify(): each invariant is broken once, around the code, and is the one that is reported."""

import pytest
from sqlalchemy import text

from models.invariants import ask
from models.ledger.holds import Hold, place
from models.ledger.verify import BROKEN_ROWS_MAX, LEDGER_INVARIANTS
from tests.integration.ledger.postings import NOON, broken, credit, debit, posted
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")

UNGUARDED = """
    ALTER TABLE ledger_entries DISABLE TRIGGER USER;
    ALTER TABLE ledger_transactions DISABLE TRIGGER USER;
    ALTER TABLE accounts DISABLE TRIGGER USER;
    ALTER TABLE accounts DROP CONSTRAINT accounts_not_overdrawn;
"""
NEW_TRANSACTION = """
    INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, subject, occurred_at)
    VALUES ('acme', '{kind}', '{key}', '', {subject}, now());
"""
# An entry that leaves balance and running balance in order, so that only what is meant is broken.
ENTRY = """
    WITH moved AS (
        UPDATE accounts SET balance_minor = balance_minor + {amount}
        WHERE (tenant, code) = ('{tenant}', '{code}') RETURNING id, balance_minor
    )
    INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
    SELECT {transaction}, id, {amount}, balance_minor FROM moved;
"""
LATEST = "(SELECT max(id) FROM ledger_transactions)"
JOB = """
    INSERT INTO jobs (tenant, name, origin, idempotency_key, fingerprint, args, due_at, accepted_at, state,
        finished_at)
    VALUES ('acme', 'wallets.credit', 'app', '{key}', '', '{{}}', now(), now(), '{state}', now());
"""
DEPOSIT = """
    INSERT INTO deposits (tenant, provider, reference, owner, currency, expected_minor, captured_minor, state,
        business_date, expected_at, updated_at)
    VALUES ('acme', 'sandbox', 'd1', 'ada', 'EUR', 100, 100, 'captured', '2026-03-14', now(), now());
"""


def new(kind: str = "by hand", key: str = "by hand", subject: str = "NULL") -> str:
    return NEW_TRANSACTION.format(kind=kind, key=key, subject=subject)


def entry(code: str, amount: int, tenant: str = "acme", transaction: str = LATEST) -> str:
    return ENTRY.format(code=code, amount=amount, tenant=tenant, transaction=transaction)


WALLET, HELD, HOUSE = "wallet:ada:available", "wallet:ada:held", "house:promo"
BREAKS: dict[str, tuple[str, str]] = {
    "a transaction without entries": ("transactions_sum_to_zero", new()),
    "one leg": ("transactions_sum_to_zero", new() + entry(WALLET, 5)),
    "legs that do not balance": (
        "transactions_sum_to_zero",
        new() + entry(WALLET, 5) + entry(HOUSE, -4),
    ),
    "entries of no transaction": (
        "entries_belong_to_a_transaction",
        entry(WALLET, 5, transaction="424242") + entry(HOUSE, -5, transaction="424242"),
    ),
    "entries in two tenants": (
        "entries_belong_to_a_transaction",
        new() + entry(WALLET, 5) + entry(HOUSE, -5, tenant="globex"),
    ),
    "a balance changed by hand": (
        "balances_equal_their_entries",
        "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE tenant = 'acme' AND code LIKE '%available'",
    ),
    "a running balance changed by hand": (
        "running_balances_add_up",
        """UPDATE ledger_entries SET balance_after_minor = 7 WHERE id = (
            SELECT max(e.id) FROM ledger_entries e JOIN accounts a ON a.id = e.account_id
            WHERE (a.tenant, a.owner) = ('acme', 'ada') AND a.code LIKE '%available')""",
    ),
    "a wallet below zero": (
        "wallets_are_not_overdrawn",
        new() + entry(WALLET, -101) + entry(HOUSE, 101),
    ),
    "a done job without a transaction": (
        "done_wallet_jobs_stand_in_the_ledger",
        JOB.format(key="j1", state="done"),
    ),
    "a refused job with a transaction": (
        "done_wallet_jobs_stand_in_the_ledger",
        JOB.format(key="j1", state="refused")
        + new(key="wallets.credit:j1")
        + entry(WALLET, 5)
        + entry(HOUSE, -5),
    ),
    "a deposit that the ledger does not know": ("deposits_agree_with_the_ledger", DEPOSIT),
    "a deposit for which the ledger moved less": (
        "deposits_agree_with_the_ledger",
        DEPOSIT
        + new(subject="'deposit:sandbox:d1'")
        + "INSERT INTO accounts (tenant, code, currency, allow_overdraft) "
        "VALUES ('acme', 'provider:sandbox:clearing', 'EUR', true);"
        + entry(WALLET, 99)
        + entry("provider:sandbox:clearing", -99),
    ),
    "a hold that was settled and never placed": (
        "holds_are_settled_once",
        new("hold.released", "h", "'hold:p2'") + entry(WALLET, 5) + entry(HELD, -5),
    ),
    "a hold that was placed twice": (
        "holds_are_settled_once",
        new("hold.placed", "h", "'hold:p1'") + entry(WALLET, -5) + entry(HELD, 5),
    ),
    "a hold that was settled for another amount": (
        "holds_are_settled_once",
        new("hold.released", "h", "'hold:p1'") + entry(WALLET, 39) + entry(HELD, -39),
    ),
    "a hold that was settled twice": (
        "holds_are_settled_once",
        new("hold.released", "h1", "'hold:p1'")
        + entry(WALLET, 20)
        + entry(HELD, -20)
        + new("hold.captured", "h2", "'hold:p1'")
        + entry(WALLET, 20)
        + entry(HELD, -20),
    ),
}


@pytest.fixture
def books(transaction: Transaction) -> Transaction:
    """Sound books: money and an open hold of 40 in acme, money in globex, and the jobs that brought it."""
    hold = Hold("acme", "p1", "ada", "EUR", 40)
    posted(
        transaction,
        credit("ada", 140, "wallets.credit:j0"),
        credit("ada", 10, "k2"),
        debit("ada", 10, "k3"),
        place(hold, occurred_at=NOON),
        credit("ada", 140, "k1", tenant="globex"),
    )
    with transaction() as session:
        session.execute(text(JOB.format(key="j0", state="done")))
        session.execute(text(JOB.format(key="refused", state="refused")))
    return transaction


def test_sound_books_break_nothing(books: Transaction) -> None:
    with books() as session:
        checks = ask(session, LEDGER_INVARIANTS)
    assert [check.name for check in checks] == [invariant.name for invariant in LEDGER_INVARIANTS]
    assert [check.broken for check in checks] == [()] * len(checks)


def test_every_invariant_is_broken_here() -> None:
    assert {name for name, _ in BREAKS.values()} == {invariant.name for invariant in LEDGER_INVARIANTS}


def test_every_invariant_says_what_it_means_and_what_to_do() -> None:
    assert all(invariant.meaning and invariant.remedy for invariant in LEDGER_INVARIANTS)


@pytest.mark.parametrize("case", BREAKS)
def test_what_is_broken_is_found_under_its_name_and_for_its_tenant(
    books: Transaction, owner_transaction: Transaction, case: str
) -> None:
    name, statements = BREAKS[case]
    with owner_transaction() as session:
        session.execute(text(UNGUARDED))
        session.execute(text(statements.replace(":", r"\:")))
    with books() as session:
        assert list(broken(session)) == [name]
        assert {tenant for tenant, _ in broken(session)[name]} <= {"acme", "globex", "?"}
        assert set(broken(session, "acme")) <= {name}
        assert broken(session, "nobody") == {}


@pytest.mark.parametrize("tenant", ["acme", "globex"])
def test_one_tenants_fault_is_not_shown_to_another(
    books: Transaction, owner_transaction: Transaction, tenant: str
) -> None:
    with owner_transaction() as session:
        session.execute(
            text(
                "UPDATE accounts SET balance_minor = balance_minor + 1 WHERE tenant = :tenant AND owner = 'ada'"
            ),
            {"tenant": tenant},
        )
    other = {"acme": "globex", "globex": "acme"}[tenant]
    with books() as session:
        assert list(broken(session, tenant)) == ["balances_equal_their_entries"]
        assert broken(session, other) == {}


def test_a_flood_of_faults_is_told_in_part(books: Transaction, owner_transaction: Transaction) -> None:
    posted(books, *(credit(f"owner-{number}", 1, f"o{number}") for number in range(BROKEN_ROWS_MAX + 10)))
    with owner_transaction() as session:
        session.execute(text("UPDATE accounts SET balance_minor = balance_minor + 1"))
    with books() as session:
        assert len(broken(session)["balances_equal_their_entries"]) == BROKEN_ROWS_MAX
