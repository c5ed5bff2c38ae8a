"""Roles: the owner migrates, the worker cannot rewrite the ledger, an app may only enqueue.

Deploy: before the code. Locks: new objects only.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


# Roles belong to the whole cluster: another database may have made them already, at this very moment even.
UP = r"""
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['ledgerbeat_worker', 'ledgerbeat_enqueue'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END $$;

GRANT USAGE ON SCHEMA public TO ledgerbeat_worker, ledgerbeat_enqueue;
GRANT EXECUTE ON FUNCTION enqueue_job TO ledgerbeat_worker, ledgerbeat_enqueue;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO ledgerbeat_worker;
GRANT INSERT ON accounts, wallet_owners, ledger_entries, ledger_mismatches, jobs,
    job_outcomes, deposits, webhook_deliveries, schedule_slots, audit_events, tenants TO ledgerbeat_worker;
-- Not created_at: the trigger on the entries trusts it to say which database transaction made the row.
GRANT INSERT (tenant, kind, idempotency_key, fingerprint, subject, job_id, occurred_at)
    ON ledger_transactions TO ledgerbeat_worker;
GRANT USAGE ON SEQUENCE jobs_seq_seq TO ledgerbeat_worker;
GRANT UPDATE (balance_minor, allow_overdraft, shadow) ON accounts TO ledgerbeat_worker;
GRANT UPDATE (state, attempts, due_at, last_error, result, wait_keys, finished_at) ON jobs TO ledgerbeat_worker;
GRANT UPDATE ON wallet_owners, job_outcomes, deposits, schedule_slots TO ledgerbeat_worker;
GRANT UPDATE (timezone, paused_at, ledger_mode, kyc_required, daily_deposit_limit_minor, daily_payout_limit_minor,
    payout_retry_limit, payout_cooldown_seconds, payout_backoff_factor, approval_threshold_minor,
    approval_expires_seconds, in_doubt_ladder_seconds, reconcile_at_local, reconcile_grace_seconds)
    ON tenants TO ledgerbeat_worker;
"""

DOWN = """
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ledgerbeat_worker, ledgerbeat_enqueue;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM ledgerbeat_worker, ledgerbeat_enqueue;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM ledgerbeat_worker, ledgerbeat_enqueue;
REVOKE ALL ON SCHEMA public FROM ledgerbeat_worker, ledgerbeat_enqueue;
"""
