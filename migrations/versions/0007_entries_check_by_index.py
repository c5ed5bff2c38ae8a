"""The entries' check looks up by index, whatever the planner once thought of the tables.

Deploy: before or after the code. Locks: none but the function's row; a writer sees the old or the new one.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(FUNCTION.replace("LOOKED_UP", BY_INDEX))


def downgrade() -> None:
    op.execute(FUNCTION.replace("LOOKED_UP", BY_JOIN))


FUNCTION = r"""
CREATE OR REPLACE FUNCTION ledger_entries_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    broken bigint;
BEGIN
    SELECT n.transaction_id INTO broken
    FROM new_entries n
    LOOKED_UP
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
END $$
"""

# OFFSET 0 keeps the planner from turning a lookup into a join. As joins they read all of ledger_transactions for every
# batch, with a plan made when the table was small and kept by the connection until the table is analyzed again.
BY_INDEX = """LEFT JOIN LATERAL (
        SELECT tenant, created_at FROM public.ledger_transactions WHERE id = n.transaction_id OFFSET 0
    ) AS t ON t.created_at = now()
    LEFT JOIN LATERAL (
        SELECT id, tenant, currency FROM public.accounts WHERE id = n.account_id OFFSET 0
    ) AS a ON a.tenant = t.tenant"""

BY_JOIN = """LEFT JOIN public.ledger_transactions t ON t.id = n.transaction_id AND t.created_at = now()
    LEFT JOIN public.accounts a ON a.id = n.account_id AND a.tenant = t.tenant"""
