"""Tenants with their policy, and the audit trail.

Deploy: before the code. Locks: new objects only.
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = r"""
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;

CREATE FUNCTION time_ordered_uuid() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    -- RFC 9562 version 7: 48 bits of Unix milliseconds, then random bits, so that new keys share index pages
    SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
        PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
        FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

CREATE TABLE tenants (
    tenant text PRIMARY KEY,
    timezone text NOT NULL DEFAULT 'UTC',
    paused_at timestamptz,
    ledger_mode text NOT NULL DEFAULT 'enforce',
    kyc_required boolean NOT NULL DEFAULT false,
    daily_deposit_limit_minor bigint,
    daily_payout_limit_minor bigint,
    payout_retry_limit integer NOT NULL DEFAULT 3,
    payout_cooldown_seconds integer NOT NULL DEFAULT 300,
    payout_backoff_factor double precision NOT NULL DEFAULT 1.0,
    approval_threshold_minor bigint,
    approval_expires_seconds integer,
    in_doubt_ladder_seconds integer[] NOT NULL DEFAULT '{30,120,600,3600,21600}',
    reconcile_at_local text NOT NULL DEFAULT '02:30',
    reconcile_grace_seconds integer NOT NULL DEFAULT 86400,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tenants_ledger_mode CHECK (ledger_mode IN ('enforce', 'shadow')),
    CONSTRAINT tenants_tenant CHECK (tenant ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);

CREATE TABLE tenant_roles (
    tenant text NOT NULL,
    role_name text NOT NULL,
    PRIMARY KEY (tenant, role_name)
);

CREATE TABLE audit_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    reason text NOT NULL,
    detail jsonb NOT NULL,
    job_id uuid,
    at timestamptz NOT NULL
);
CREATE INDEX audit_events_tenant_subject_id_idx ON audit_events (tenant, subject, id);
CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

DOWN = """
DROP TABLE audit_events, tenant_roles, tenants;
DROP FUNCTION time_ordered_uuid;
DROP FUNCTION refuse_change;
"""
