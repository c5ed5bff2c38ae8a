"""What the database itself refuses, whoever asks: its owner around the code, or the worker's role."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from tests.integration.ledger.postings import assert_books_in_order, available, credit, posted, rows_of
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")
APPEND_ONLY = (
    "ledger_entries",
    "ledger_transactions",
    "ledger_mismatches",
    "audit_events",
    "webhook_deliveries",
)
ROW_OF = {
    "ledger_mismatches": "INSERT INTO ledger_mismatches (tenant, transaction_id, account_id, short_minor) "
    "VALUES ('acme', 1, 1, 1)",
    "audit_events": "INSERT INTO audit_events (tenant, actor, action, subject, reason, detail, at) "
    "VALUES ('acme', 'a', 'b', 'c', 'd', '{}', now())",
    "webhook_deliveries": "INSERT INTO webhook_deliveries (tenant, provider, event_keys, body_sha256, body, "
    "secret_index, received_at) VALUES ('acme', 'x', '{}', '', '', 0, now())",
}
RESTRICT_VIOLATION = "23001"
CHECK_VIOLATION = "23514"
INSUFFICIENT_PRIVILEGE = "42501"


@pytest.fixture(params=["owner", "worker"])
def asker(request: pytest.FixtureRequest, transaction: Transaction, owner_transaction: Transaction) -> Any:
    return {"owner": owner_transaction, "worker": transaction}[request.param]


@pytest.fixture
def books(transaction: Transaction) -> Transaction:
    """Two wallets in two tenants, and a row in each append-only table."""
    posted(transaction, credit("ada", 100, "k1"), credit("ada", 100, "k1", tenant="globex"))
    with transaction() as session:
        for insert in ROW_OF.values():
            session.execute(text(insert))
    return transaction


def refusal(asker: Transaction, *statements: str) -> str:
    """The SQLSTATE that the last statement is refused with."""
    with pytest.raises(DBAPIError) as raised:
        run(asker, *statements)
    return str(getattr(raised.value.orig, "sqlstate", None))


def run(asker: Transaction, *statements: str) -> None:
    with asker() as session:
        for statement in statements:
            session.execute(text(statement))


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE {} SET tenant = tenant", "DELETE FROM {}", "TRUNCATE {}", "DELETE FROM {} WHERE false"],
)
def test_the_owner_cannot_rewrite_what_is_append_only(
    books: Transaction, owner_transaction: Transaction, table: str, statement: str
) -> None:
    before = rows_of(books, table)
    if table == "ledger_entries":
        statement = statement.replace("tenant = tenant", "amount_minor = amount_minor")
    assert refusal(owner_transaction, statement.format(table)) == RESTRICT_VIOLATION
    assert rows_of(books, table) == before > 0


@pytest.mark.parametrize("table", APPEND_ONLY)
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = DEFAULT", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_worker_may_not_even_ask(books: Transaction, table: str, statement: str) -> None:
    assert refusal(books, statement.format(table)) == INSUFFICIENT_PRIVILEGE


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM accounts",
        "TRUNCATE accounts",
        "TRUNCATE accounts, ledger_entries CASCADE",
        "UPDATE accounts SET tenant = 'globex' WHERE code LIKE 'house:%'",
        "UPDATE accounts SET code = 'wallet:eve:available' WHERE owner = 'ada'",
        "UPDATE accounts SET currency = 'JPY'",
        "UPDATE accounts SET id = DEFAULT",
    ],
)
def test_an_account_stays_and_keeps_its_identity(
    books: Transaction, owner_transaction: Transaction, statement: str
) -> None:
    assert refusal(owner_transaction, statement) == RESTRICT_VIOLATION
    assert refusal(books, statement) == INSUFFICIENT_PRIVILEGE
    assert_books_in_order(books)


NEW_TRANSACTION = """
    INSERT INTO ledger_transactions (tenant, kind, idempotency_key, fingerprint, occurred_at)
    VALUES ('{tenant}', 'by hand', '{key}', '', now())
"""


def entries(*lines: tuple[str, str, str, int], transaction_key: str = "by hand") -> str:
    """An INSERT of entries: (tenant, code, currency, amount) each, in one statement."""
    values = ", ".join(f"('{tenant}', '{code}', '{cur}', {minor})" for tenant, code, cur, minor in lines)
    return f"""
        INSERT INTO ledger_entries (transaction_id, account_id, amount_minor, balance_after_minor)
        SELECT (SELECT id FROM ledger_transactions WHERE (tenant, idempotency_key) = ('acme', '{transaction_key}')),
            coalesce(a.id, 999999), v.amount, 0
        FROM (VALUES {values}) AS v (tenant, code, currency, amount)
        LEFT JOIN accounts a ON (a.tenant, a.code, a.currency) = (v.tenant, v.code, v.currency)
    """  # noqa: S608 - a test's own words


HOUSE, WALLET = ("acme", "house:promo", "EUR"), ("acme", "wallet:ada:available", "EUR")
UNSOUND: dict[str, str] = {
    "unbalanced": entries((*HOUSE, -5), (*WALLET, 6)),
    "one-legged": entries((*WALLET, 5)),
    "two tenants": entries((*HOUSE, -5), ("globex", "wallet:ada:available", "EUR", 5)),
    "all of another tenant": entries(
        ("globex", "house:promo", "EUR", -5), ("globex", "wallet:ada:available", "EUR", 5)
    ),
    "unknown accounts": entries(("acme", "house:none", "EUR", -5), ("acme", "house:none", "EUR", 5)),
    "balanced over two currencies": entries((*HOUSE, -5), ("acme", "house:promo", "JPY", 5)),
    "zero": entries((*HOUSE, 0), (*WALLET, 0)),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_entries_that_are_not_a_sound_transaction_are_refused(
    books: Transaction, asker: Transaction, case: str
) -> None:
    posted(books, credit("ada", 1, "jpy", currency="JPY"))
    new = NEW_TRANSACTION.format(tenant="acme", key="by hand")
    assert refusal(asker, new, UNSOUND[case]) == CHECK_VIOLATION
    assert rows_of(books, "ledger_transactions") == 3


def test_sound_entries_by_hand_are_let_through(books: Transaction, asker: Transaction) -> None:
    before = rows_of(books, "ledger_entries")
    with asker() as session:
        session.execute(text(NEW_TRANSACTION.format(tenant="acme", key="by hand")))
        session.execute(text(entries((*HOUSE, -5), (*WALLET, 5))))
    assert rows_of(books, "ledger_entries") == before + 2


def test_entries_of_no_transaction_are_refused(books: Transaction, asker: Transaction) -> None:
    statement = entries((*HOUSE, -5), (*WALLET, 5)).replace("SELECT (SELECT id", "SELECT coalesce((SELECT id")
    statement = statement.replace("('acme', 'by hand')),", "('acme', 'by hand')), 999999),")
    assert refusal(asker, statement) == CHECK_VIOLATION


def test_a_transaction_is_closed_once_its_entries_are_in(books: Transaction, asker: Transaction) -> None:
    late = entries((*HOUSE, -5), (*WALLET, 5), transaction_key="k1")
    assert refusal(asker, late) == CHECK_VIOLATION


def test_a_key_stands_for_one_transaction_only(books: Transaction, asker: Transaction) -> None:
    with pytest.raises(IntegrityError, match="ledger_transactions_tenant_idempotency_key_key"):
        run(asker, NEW_TRANSACTION.format(tenant="acme", key="k1"))


def test_a_wallet_does_not_go_below_zero(books: Transaction, asker: Transaction) -> None:
    with pytest.raises(IntegrityError, match="accounts_not_overdrawn"):
        run(asker, "UPDATE accounts SET balance_minor = -1 WHERE owner = 'ada'")
    assert available(books, "ada") == 100


def test_a_wallet_in_debt_does_not_lose_its_overdraft(books: Transaction, asker: Transaction) -> None:
    run(asker, "UPDATE accounts SET allow_overdraft = true, balance_minor = -1 WHERE owner = 'ada'")
    with pytest.raises(IntegrityError, match="accounts_not_overdrawn"):
        run(asker, "UPDATE accounts SET allow_overdraft = false WHERE owner = 'ada'")


@pytest.mark.parametrize("currency", ["eur", "EURO", "EU", "E1R", ""])
def test_a_currency_is_three_capitals(books: Transaction, asker: Transaction, currency: str) -> None:
    opening = "INSERT INTO accounts (tenant, code, currency, allow_overdraft) VALUES ('acme', 'house:x', '{}', true)"
    with pytest.raises(IntegrityError, match="accounts_currency"):
        run(asker, opening.format(currency))


def test_the_owner_of_a_wallet_is_read_from_its_code(books: Transaction) -> None:
    posted(books, credit("a:b:c", 1, "k9"), credit("held", 1, "k10"))
    with books() as session:
        owners = session.execute(text("SELECT DISTINCT owner FROM accounts")).scalars().all()
    assert set(owners) == {None, "ada", "a:b:c", "held"}


def test_the_same_webhook_body_is_kept_once(books: Transaction, asker: Transaction) -> None:
    with pytest.raises(IntegrityError, match="webhook_deliveries_tenant_provider_body_sha256_key"):
        run(asker, ROW_OF["webhook_deliveries"])


@pytest.mark.parametrize("does", ["RETURN NULL", "NEW.idempotency_key := 'other'; RETURN NEW"])
def test_entries_never_come_under_another_transaction(
    transaction: Transaction, owner_transaction: Transaction, does: str
) -> None:
    """What is written is held against what was asked for: here a trigger of somebody's stands between."""
    with owner_transaction() as session:
        session.execute(
            text(f"""
                CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; END $$;
                CREATE TRIGGER meddles BEFORE INSERT ON ledger_transactions
                    FOR EACH ROW WHEN (NEW.idempotency_key = 'k2') EXECUTE FUNCTION meddle()
            """)
        )
    with pytest.raises(RuntimeError, match="order"):
        posted(transaction, *(credit("ada", 5, f"k{number}") for number in range(4)))
    assert (available(transaction, "ada"), rows_of(transaction, "ledger_transactions")) == (0, 0)
