"""Deposits expected and captured, and the raw body of every webhook.

Deploy: before the code. Locks: new objects only.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = r"""
CREATE TABLE deposits (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    provider text NOT NULL,
    reference text NOT NULL,
    owner text NOT NULL,
    currency text NOT NULL,
    expected_minor bigint NOT NULL,
    captured_minor bigint NOT NULL DEFAULT 0,
    refunded_minor bigint NOT NULL DEFAULT 0,
    charged_back_minor bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'expected',
    business_date date NOT NULL,
    object_ids text[] NOT NULL DEFAULT '{}',
    parts jsonb NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 0,
    job_id uuid,
    expected_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT deposits_tenant_provider_reference_key UNIQUE (tenant, provider, reference),
    CONSTRAINT deposits_state CHECK (state IN ('expected', 'failed', 'captured', 'refunded', 'charged_back')),
    CONSTRAINT deposits_expected CHECK (expected_minor > 0),
    CONSTRAINT deposits_not_negative CHECK
        (captured_minor >= 0 AND refunded_minor >= 0 AND charged_back_minor >= 0)
);
-- Without the pending list, which every look-up would have to read through.
CREATE INDEX deposits_object_ids_idx ON deposits USING gin (object_ids) WITH (fastupdate = off);
CREATE INDEX deposits_tenant_owner_currency_business_date_idx
    ON deposits (tenant, owner, currency, business_date);

CREATE TABLE webhook_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    provider text NOT NULL,
    event_keys text[] NOT NULL,
    body_sha256 bytea NOT NULL,
    body bytea NOT NULL,
    secret_index smallint NOT NULL,
    received_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_deliveries_tenant_provider_body_sha256_key UNIQUE (tenant, provider, body_sha256)
);
CREATE TRIGGER webhook_deliveries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON webhook_deliveries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

DOWN = """
DROP TABLE webhook_deliveries, deposits;
"""
