"""Backfills: managed runs over an older system's rows, what was set aside in them, and what a dry run has worked out.

Deploy: before the code. Locks: new objects only.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = r"""
CREATE TABLE backfills (
    id uuid PRIMARY KEY,
    tenant text NOT NULL,
    kind text NOT NULL,
    source jsonb NOT NULL,
    source_digest text,
    namespace text NOT NULL,
    options jsonb NOT NULL DEFAULT '{}',
    dry_run boolean NOT NULL,
    batch_rows integer NOT NULL,
    max_amount_minor bigint,
    state text NOT NULL DEFAULT 'pending',
    pause_code text,
    stop_asked text,
    last_error text,
    phase text NOT NULL DEFAULT 'read',
    cursor jsonb,
    rows_read bigint NOT NULL DEFAULT 0,
    posted bigint NOT NULL DEFAULT 0,
    replayed bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    quarantined bigint NOT NULL DEFAULT 0,
    waiting bigint NOT NULL DEFAULT 0,
    bytes_read bigint NOT NULL DEFAULT 0,
    bytes_total bigint,
    rows_total bigint,
    money jsonb NOT NULL DEFAULT '{}',
    reasons jsonb NOT NULL DEFAULT '{}',
    batches integer NOT NULL DEFAULT 0,
    rows_last integer,
    claim_version integer NOT NULL DEFAULT 0,
    claimed_until timestamptz,
    next_batch_at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    job_id uuid,
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    last_batch_at timestamptz,
    last_batch_seconds double precision,
    worked_seconds double precision NOT NULL DEFAULT 0,
    finished_at timestamptz,
    CONSTRAINT backfills_kind CHECK (kind IN ('postings', 'opening_balances', 'provider_events', 'wallet_recalc')),
    CONSTRAINT backfills_state CHECK (state IN ('pending', 'running', 'paused', 'done', 'cancelled', 'failed')),
    CONSTRAINT backfills_paused CHECK ((pause_code IS NOT NULL) = (state = 'paused')),
    CONSTRAINT backfills_finished CHECK ((finished_at IS NOT NULL) = (state IN ('done', 'cancelled'))),
    CONSTRAINT backfills_stop_asked CHECK (stop_asked IN ('pause', 'cancel')),
    CONSTRAINT backfills_phase CHECK (phase IN ('read', 'second_look')),
    CONSTRAINT backfills_batch_rows CHECK (batch_rows BETWEEN 1 AND 20000),
    CONSTRAINT backfills_max_amount_minor CHECK (max_amount_minor >= 0),
    CONSTRAINT backfills_rows_read CHECK (rows_read = posted + replayed + unchanged + quarantined + waiting)
);
CREATE INDEX backfills_tenant_created_at_idx ON backfills (tenant, created_at);
CREATE INDEX backfills_due_idx ON backfills (next_batch_at) WHERE state IN ('pending', 'running');
CREATE UNIQUE INDEX backfills_job_id_idx ON backfills (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE backfill_quarantine (
    backfill_id uuid NOT NULL,
    place text NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    line bigint,
    row_id text,
    raw text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    state text NOT NULL DEFAULT 'open',
    fields jsonb,
    at timestamptz NOT NULL,
    PRIMARY KEY (backfill_id, place),
    CONSTRAINT backfill_quarantine_state CHECK (state IN ('open', 'waiting', 'posted')),
    CONSTRAINT backfill_quarantine_waiting CHECK (state <> 'waiting' OR fields IS NOT NULL)
);
CREATE INDEX backfill_quarantine_backfill_id_id_idx ON backfill_quarantine (backfill_id, id);

CREATE TABLE backfill_rehearsed_accounts (
    backfill_id uuid NOT NULL,
    code text NOT NULL,
    currency text NOT NULL,
    balance_minor bigint NOT NULL,
    PRIMARY KEY (backfill_id, code, currency)
);
CREATE TABLE backfill_rehearsed_keys (
    backfill_id uuid NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    PRIMARY KEY (backfill_id, key)
);

GRANT SELECT, INSERT ON backfills, backfill_quarantine, backfill_rehearsed_accounts, backfill_rehearsed_keys
    TO ledgerbeat_worker;
GRANT UPDATE (source_digest, max_amount_minor, state, pause_code, stop_asked, last_error, phase, cursor, rows_read,
    posted, replayed, unchanged, quarantined, waiting, bytes_read, bytes_total, rows_total, money, reasons, batches,
    rows_last, claim_version, claimed_until, next_batch_at, started_at, last_batch_at, last_batch_seconds,
    worked_seconds, finished_at)
    ON backfills TO ledgerbeat_worker;
GRANT UPDATE (code, reason, state) ON backfill_quarantine TO ledgerbeat_worker;
GRANT UPDATE, DELETE ON backfill_rehearsed_accounts, backfill_rehearsed_keys TO ledgerbeat_worker;
"""

DOWN = """
DROP TABLE backfill_rehearsed_keys, backfill_rehearsed_accounts, backfill_quarantine, backfills;
"""
