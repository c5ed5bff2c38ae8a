"""The ledger: accounts, transactions, entries, and what the database itself refuses.

Deploy: before the code. Locks: new objects only.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = r"""
CREATE TABLE accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    code text NOT NULL,
    currency text NOT NULL,
    balance_minor bigint NOT NULL DEFAULT 0,
    allow_overdraft boolean NOT NULL,
    shadow boolean NOT NULL DEFAULT false,
    owner text GENERATED ALWAYS AS (substring(code from '^wallet:(.+):(available|held)$')) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_tenant_code_currency_key UNIQUE (tenant, code, currency),
    CONSTRAINT accounts_not_overdrawn CHECK (balance_minor >= 0 OR allow_overdraft OR shadow),
    CONSTRAINT accounts_currency CHECK (currency ~ '^[A-Z]{3}$')
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 200);
CREATE INDEX accounts_tenant_owner_idx ON accounts (tenant, owner) WHERE owner IS NOT NULL;

CREATE TABLE wallet_owners (
    tenant text NOT NULL,
    owner text NOT NULL,
    kyc_status text NOT NULL DEFAULT 'unverified',
    allow_overdraft boolean NOT NULL DEFAULT false,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, owner),
    CONSTRAINT wallet_owners_kyc_status CHECK (kyc_status IN ('unverified', 'pending', 'verified', 'rejected'))
);

CREATE TABLE ledger_transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    kind text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    subject text,
    job_id uuid,
    occurred_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ledger_transactions_tenant_idempotency_key_key UNIQUE (tenant, idempotency_key)
);
CREATE INDEX ledger_transactions_tenant_subject_idx ON ledger_transactions (tenant, subject)
    WHERE subject IS NOT NULL;
CREATE INDEX ledger_transactions_job_id_idx ON ledger_transactions (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE ledger_entries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    transaction_id bigint NOT NULL,
    account_id bigint NOT NULL,
    amount_minor bigint NOT NULL,
    balance_after_minor bigint NOT NULL,
    CONSTRAINT ledger_entries_moves_something CHECK (amount_minor <> 0)
);
CREATE INDEX ledger_entries_transaction_id_idx ON ledger_entries (transaction_id);
CREATE INDEX ledger_entries_account_id_id_idx ON ledger_entries (account_id, id);

CREATE TABLE ledger_mismatches (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    transaction_id bigint NOT NULL,
    account_id bigint NOT NULL,
    short_minor bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ledger_mismatches_short CHECK (short_minor > 0)
);
CREATE INDEX ledger_mismatches_tenant_id_idx ON ledger_mismatches (tenant, id);

-- Entries arrive in the database transaction that made their ledger transaction (both carry its now()), sum to zero
-- per currency and stay within one tenant. Over the transition table and not row by row: one query per statement.
-- It also stands in for foreign keys, which would take a row lock on the hot account for every entry.
-- The tables are named with their schema: a writer's temporary tables would otherwise stand in for them.
-- OFFSET 0 keeps the planner from turning a lookup into a join. As joins they read all of ledger_transactions for every
-- batch, with a plan made when the table was small and kept by the connection until the table is analyzed again.
-- enable_seqscan: a lookup in a table of one page is planned as a scan, and kept likewise.
CREATE FUNCTION ledger_entries_check() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    broken bigint;
BEGIN
    SELECT n.transaction_id INTO broken
    FROM new_entries n
    LEFT JOIN LATERAL (
        SELECT tenant, created_at FROM public.ledger_transactions WHERE id = n.transaction_id OFFSET 0
    ) AS t ON t.created_at = now()
    LEFT JOIN LATERAL (
        SELECT id, tenant, currency FROM public.accounts WHERE id = n.account_id OFFSET 0
    ) AS a ON a.tenant = t.tenant
    GROUP BY n.transaction_id, a.currency
    HAVING sum(n.amount_minor) <> 0 OR bool_or(a.id IS NULL)
    LIMIT 1;
    IF NOT FOUND THEN
        RETURN NULL;
    ELSIF EXISTS (SELECT FROM public.ledger_transactions WHERE id = broken AND created_at <> now()) THEN
        RAISE EXCEPTION 'ledger transaction % is closed: entries cannot be added later', broken
            USING ERRCODE = 'check_violation';
    ELSE
        RAISE EXCEPTION 'ledger transaction % does not sum to zero per currency within one tenant', broken
            USING ERRCODE = 'check_violation';
    END IF;
END $$;
CREATE TRIGGER ledger_entries_balanced AFTER INSERT ON ledger_entries
    REFERENCING NEW TABLE AS new_entries
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_entries_check();

CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_mismatches_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_mismatches
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_stay BEFORE DELETE OR TRUNCATE ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER accounts_keep_identity BEFORE UPDATE OF id, tenant, code, currency ON accounts
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE VIEW wallets AS
SELECT tenant, owner, currency,
    coalesce(sum(balance_minor) FILTER (WHERE code LIKE '%available'), 0)::bigint AS available_minor,
    coalesce(sum(balance_minor) FILTER (WHERE code LIKE '%held'), 0)::bigint AS held_minor
FROM accounts WHERE owner IS NOT NULL
GROUP BY tenant, owner, currency;
"""

DOWN = """
DROP VIEW wallets;
DROP TABLE ledger_mismatches, ledger_entries, ledger_transactions, wallet_owners, accounts;
DROP FUNCTION ledger_entries_check;
"""
