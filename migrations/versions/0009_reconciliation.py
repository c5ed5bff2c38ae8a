"""Reconciliation: its runs, what the providers told, what was not understood, and more about each finding.

Deploy: before the code. Locks: new objects, new columns of `reconciliation_findings` with constant defaults, and a
BRIN index of `ledger_transactions`: one read of that table, in which nothing is posted.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = r"""
CREATE TABLE reconciliation_runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    provider text NOT NULL,
    business_date date NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    revision integer NOT NULL DEFAULT 0,
    claim_version integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    due_at timestamptz NOT NULL,
    window_from timestamptz,
    window_to timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    records integer NOT NULL DEFAULT 0,
    bad_rows integer NOT NULL DEFAULT 0,
    matched integer NOT NULL DEFAULT 0,
    expected integer NOT NULL DEFAULT 0,
    findings_open integer NOT NULL DEFAULT 0,
    counts jsonb NOT NULL DEFAULT '{}',
    totals jsonb NOT NULL DEFAULT '{}',
    checks jsonb NOT NULL DEFAULT '[]',
    report_path text,
    last_error text,
    CONSTRAINT reconciliation_runs_tenant_provider_business_date_key UNIQUE (tenant, provider, business_date),
    CONSTRAINT reconciliation_runs_state CHECK (state IN ('pending', 'running', 'done', 'truncated', 'failed')),
    CONSTRAINT reconciliation_runs_claimed CHECK ((claimed_until IS NOT NULL) = (state = 'running')),
    CONSTRAINT reconciliation_runs_finished CHECK
        ((finished_at IS NOT NULL) = (state IN ('done', 'truncated', 'failed'))),
    CONSTRAINT reconciliation_runs_failed CHECK ((last_error IS NOT NULL) = (state = 'failed'))
);
CREATE INDEX reconciliation_runs_due_idx ON reconciliation_runs (due_at)
    WHERE state IN ('pending', 'running', 'failed');

-- No primary key and no index of references, which would double the time that a feed takes to copy in: it is read as a
-- whole, run by run.
CREATE TABLE provider_records (
    run_id bigint NOT NULL,
    record_id text NOT NULL,
    tenant text NOT NULL,
    provider text NOT NULL,
    kind text NOT NULL,
    reference text,
    object_id text,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    fee_minor bigint NOT NULL,
    fee_currency text NOT NULL,
    status text NOT NULL,
    occurred_at timestamptz NOT NULL,
    line integer
);
CREATE INDEX provider_records_run_id_idx ON provider_records USING brin (run_id);

CREATE TABLE reconciliation_bad_rows (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    tenant text NOT NULL,
    provider text NOT NULL,
    line integer,
    raw text NOT NULL,
    reason text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX reconciliation_bad_rows_run_id_id_idx ON reconciliation_bad_rows (run_id, id);

CREATE TABLE reconciliation_files (
    tenant text NOT NULL,
    provider text NOT NULL,
    digest text NOT NULL,
    name text NOT NULL,
    rows integer NOT NULL,
    taken_at timestamptz NOT NULL,
    run_id bigint NOT NULL,
    PRIMARY KEY (tenant, provider, digest)
);

ALTER TABLE reconciliation_findings
    ADD COLUMN severity text NOT NULL DEFAULT 'medium',
    ADD COLUMN run_id bigint,
    ADD COLUMN occurred_at timestamptz,
    ADD COLUMN closed_by text,
    ADD COLUMN reason text,
    ADD CONSTRAINT reconciliation_findings_severity CHECK (severity IN ('low', 'medium', 'high', 'critical')),
    ADD CONSTRAINT reconciliation_findings_signed CHECK
        (state NOT IN ('resolved', 'ignored') OR (closed_by IS NOT NULL AND reason IS NOT NULL));
CREATE INDEX reconciliation_findings_tenant_id_idx ON reconciliation_findings (tenant, id);

-- A night's transactions are found among years of them, at next to no cost for who posts.
CREATE INDEX ledger_transactions_occurred_at_idx ON ledger_transactions USING brin (occurred_at)
    WITH (pages_per_range = 32, autosummarize = on);

GRANT SELECT, INSERT ON reconciliation_runs, provider_records, reconciliation_bad_rows, reconciliation_files
    TO ledgerbeat_worker;
GRANT UPDATE (state, revision, claim_version, claimed_until, due_at, window_from, window_to, started_at, finished_at,
    records, bad_rows, matched, expected, findings_open, counts, totals, checks, report_path, last_error)
    ON reconciliation_runs TO ledgerbeat_worker;
GRANT DELETE ON provider_records, reconciliation_bad_rows, reconciliation_files TO ledgerbeat_worker;
GRANT UPDATE ON reconciliation_files TO ledgerbeat_worker;
GRANT UPDATE (severity, run_id, occurred_at, closed_by, reason) ON reconciliation_findings TO ledgerbeat_worker;
"""

DOWN = """
DROP INDEX ledger_transactions_occurred_at_idx, reconciliation_findings_tenant_id_idx;
ALTER TABLE reconciliation_findings DROP COLUMN severity, DROP COLUMN run_id, DROP COLUMN occurred_at,
    DROP COLUMN closed_by, DROP COLUMN reason;
DROP TABLE reconciliation_files, reconciliation_bad_rows, provider_records, reconciliation_runs;
"""
