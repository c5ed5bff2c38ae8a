"""Findings, which people work off, and notifications, which tell the tenants' own systems.

Deploy: before the code. Locks: new objects, and a new column of `tenants` with a constant default.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = r"""
CREATE TABLE reconciliation_findings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    provider text NOT NULL,
    kind text NOT NULL,
    fingerprint text NOT NULL,
    subject text NOT NULL,
    state text NOT NULL DEFAULT 'open',
    amount_minor bigint,
    currency text,
    detail jsonb NOT NULL DEFAULT '{}',
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    times_seen integer NOT NULL DEFAULT 1,
    closed_at timestamptz,
    CONSTRAINT reconciliation_findings_tenant_fingerprint_key UNIQUE (tenant, fingerprint),
    CONSTRAINT reconciliation_findings_kind CHECK (kind IN ('missing_at_provider', 'missing_in_ledger',
        'amount_mismatch', 'currency_mismatch', 'status_mismatch', 'fee_mismatch', 'duplicate_at_provider',
        'late_reversal', 'unknown_event', 'in_doubt_overdue', 'invariant_broken')),
    CONSTRAINT reconciliation_findings_state CHECK (state IN ('open', 'resolved', 'ignored', 'closed')),
    CONSTRAINT reconciliation_findings_closed CHECK ((closed_at IS NULL) = (state = 'open'))
);
CREATE INDEX reconciliation_findings_tenant_subject_idx ON reconciliation_findings (tenant, subject);
CREATE INDEX reconciliation_findings_open_idx ON reconciliation_findings (tenant, kind) WHERE state = 'open';

CREATE TABLE notifications (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    version integer NOT NULL,
    data jsonb NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    tries integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    last_error text,
    created_at timestamptz NOT NULL,
    delivered_at timestamptz,
    CONSTRAINT notifications_tenant_subject_version_key UNIQUE (tenant, subject, version),
    CONSTRAINT notifications_state CHECK (state IN ('pending', 'delivered', 'gave_up')),
    CONSTRAINT notifications_next_try CHECK ((next_try_at IS NOT NULL) = (state = 'pending'))
);
CREATE INDEX notifications_pending_idx ON notifications (tenant, next_try_at) WHERE state = 'pending';
CREATE INDEX notifications_gave_up_idx ON notifications (tenant) WHERE state = 'gave_up';
CREATE INDEX notifications_tenant_id_idx ON notifications (tenant, id);

CREATE TABLE notification_lanes (
    tenant text PRIMARY KEY,
    endpoint text NOT NULL,
    failures_in_a_row integer NOT NULL DEFAULT 0,
    quiet_until timestamptz,
    gone_at timestamptz,
    dispatched_at timestamptz,
    dispatched_until timestamptz,
    CONSTRAINT notification_lanes_failures CHECK (failures_in_a_row >= 0)
);

ALTER TABLE tenants ADD COLUMN notified boolean NOT NULL DEFAULT false;

GRANT SELECT ON reconciliation_findings, notifications, notification_lanes TO ledgerbeat_worker;
GRANT INSERT ON reconciliation_findings, notifications, notification_lanes TO ledgerbeat_worker;
GRANT UPDATE (state, amount_minor, currency, detail, last_seen_at, times_seen, closed_at)
    ON reconciliation_findings TO ledgerbeat_worker;
GRANT UPDATE (state, tries, next_try_at, last_error, delivered_at) ON notifications TO ledgerbeat_worker;
GRANT UPDATE ON notification_lanes TO ledgerbeat_worker;
GRANT UPDATE (notified) ON tenants TO ledgerbeat_worker;
"""

DOWN = """
ALTER TABLE tenants DROP COLUMN notified;
DROP TABLE notification_lanes, notifications, reconciliation_findings;
"""
