"""What the worker's role may do, and what it may not even try."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from tests.integration.migrations.schema import metadata
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")

MAY_INSERT = {
    "accounts",
    "audit_events",
    "backfill_quarantine",
    "backfill_rehearsed_accounts",
    "backfill_rehearsed_keys",
    "backfills",
    "deposits",
    "job_outcomes",
    "jobs",
    "ledger_entries",
    "ledger_mismatches",
    "limit_reservations",
    "notification_lanes",
    "notifications",
    "payout_attempts",
    "payout_events",
    "payouts",
    "provider_accounts",
    "provider_records",
    "reconciliation_bad_rows",
    "reconciliation_files",
    "reconciliation_findings",
    "reconciliation_pairs",
    "reconciliation_runs",
    "schedule_slots",
    "tenants",
    "wallet_owners",
    "webhook_deliveries",
}
MAY_UPDATE = {
    "backfill_rehearsed_accounts",
    "backfill_rehearsed_keys",
    "deposits",
    "job_outcomes",
    "notification_lanes",
    "provider_accounts",
    "reconciliation_files",
    "schedule_slots",
    "wallet_owners",
}
MAY_DELETE = {
    "backfill_rehearsed_accounts",
    "backfill_rehearsed_keys",
    "provider_records",
    "reconciliation_bad_rows",
    "reconciliation_files",
}
"""What a provider told is read again by the next run of the night, what a dry run has worked out is of no further use;
what we say of either is not deleted."""
FIXED_COLUMNS = {
    "accounts": {"id", "tenant", "code", "currency", "owner", "created_at"},
    "jobs": {
        "id", "seq", "tenant", "name", "origin", "idempotency_key", "fingerprint", "args", "delivery_id",
        "accepted_at",
    },
    "limit_reservations": {
        "payout_id", "tenant", "owner", "currency", "business_date", "amount_minor", "reserved_at",
    },
    "payout_attempts": {
        "payout_id", "attempt_no", "tenant", "provider", "provider_key", "reference", "first_used_at",
        "key_valid_until",
    },
    "payouts": {
        "id", "tenant", "owner", "amount_minor", "currency", "provider", "destination", "requested_by",
        "business_date", "requested_at",
    },
    "tenants": {"tenant", "created_at"},
}  # fmt: skip


def tables_with(transaction: Transaction, privilege: str, role: str = "ledgerbeat_worker") -> set[str]:
    """The tables and views on which the role has the privilege as a whole."""
    query = text("""
        SELECT relname FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'p')
            AND has_table_privilege(:role, oid, :privilege)
    """)
    with transaction() as session:
        return set(session.execute(query, {"role": role, "privilege": privilege}).scalars())


def test_the_tests_act_as_the_worker(transaction: Transaction) -> None:
    with transaction() as session:
        assert session.execute(text("SELECT current_user")).scalar_one() == "ledgerbeat_worker"


def test_the_worker_reads_everything(transaction: Transaction) -> None:
    assert tables_with(transaction, "SELECT") == {*metadata.tables, "wallets", "alembic_version"}


def test_the_worker_adds_rows_where_its_work_is(transaction: Transaction) -> None:
    assert tables_with(transaction, "INSERT") == MAY_INSERT


def test_the_worker_cannot_say_when_a_ledger_transaction_was_made(transaction: Transaction) -> None:
    """The trigger on the entries trusts created_at."""
    query = text("""
        SELECT attname FROM pg_attribute
        WHERE attrelid = 'ledger_transactions'::regclass AND attnum > 0
            AND NOT has_column_privilege('ledgerbeat_worker', attrelid, attnum, 'INSERT')
    """)
    with transaction() as session:
        assert set(session.execute(query).scalars()) == {"id", "created_at"}


def test_the_worker_changes_rows_only_where_they_are_meant_to_change(transaction: Transaction) -> None:
    assert tables_with(transaction, "UPDATE") == MAY_UPDATE


def test_the_worker_deletes_only_what_a_provider_can_tell_again(transaction: Transaction) -> None:
    assert tables_with(transaction, "DELETE") == MAY_DELETE


@pytest.mark.parametrize("privilege", ["TRUNCATE", "TRIGGER", "REFERENCES"])
def test_the_worker_has_no_other_right_on_any_table(transaction: Transaction, privilege: str) -> None:
    assert tables_with(transaction, privilege) == set()


@pytest.mark.parametrize("table", FIXED_COLUMNS)
def test_the_worker_changes_no_column_that_says_what_a_row_is(transaction: Transaction, table: str) -> None:
    query = text("""
        SELECT attname FROM pg_attribute
        WHERE attrelid = CAST(:table AS regclass) AND attnum > 0 AND NOT attisdropped
            AND NOT has_column_privilege('ledgerbeat_worker', attrelid, attnum, 'UPDATE')
    """)
    with transaction() as session:
        assert set(session.execute(query, {"table": table}).scalars()) == FIXED_COLUMNS[table]


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE ledger_entries",
        "DROP VIEW wallets",
        "DROP TRIGGER ledger_entries_balanced ON ledger_entries",
        "DROP FUNCTION enqueue_job",
        "ALTER TABLE ledger_entries DISABLE TRIGGER ALL",
        "ALTER TABLE accounts DROP CONSTRAINT accounts_not_overdrawn",
        "ALTER TABLE ledger_entries OWNER TO ledgerbeat_worker",
        "CREATE TABLE mine (id bigint)",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE ROLE mine",
        "SET session_replication_role = replica",
        "INSERT INTO tenant_roles VALUES ('acme', 'ledgerbeat_worker')",
    ],
)
def test_the_worker_cannot_take_the_protection_away(transaction: Transaction, statement: str) -> None:
    with pytest.raises(ProgrammingError) as raised, transaction() as session:
        session.execute(text(statement))
    assert getattr(raised.value.orig, "sqlstate", None) == "42501"


def test_the_worker_cannot_grant_itself_more(transaction: Transaction) -> None:
    with transaction() as session:
        session.execute(text("GRANT DELETE ON ledger_entries TO ledgerbeat_worker"))
    assert tables_with(transaction, "DELETE") == MAY_DELETE


@pytest.mark.parametrize("privilege", ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"])
def test_the_enqueuing_role_has_no_right_on_any_table(transaction: Transaction, privilege: str) -> None:
    assert tables_with(transaction, privilege, role="ledgerbeat_enqueue") == set()
