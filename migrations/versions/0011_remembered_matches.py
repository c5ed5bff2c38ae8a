"""What reconciliation remembers of matches: which transactions a run has concluded on, and pairs that no window shows.

Deploy: before the code. Locks: new columns of `reconciliation_runs` without a default, and a new table.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = """
ALTER TABLE reconciliation_runs
    ADD COLUMN concluded_from timestamptz,
    ADD COLUMN concluded_until timestamptz,
    ADD COLUMN concluded_id bigint;
CREATE TABLE reconciliation_pairs (
    tenant text NOT NULL,
    provider text NOT NULL,
    transaction_id bigint NOT NULL,
    record_id text NOT NULL,
    run_id bigint NOT NULL,
    PRIMARY KEY (tenant, provider, transaction_id)
);
GRANT SELECT, INSERT ON reconciliation_pairs TO ledgerbeat_worker;
GRANT UPDATE (concluded_from, concluded_until, concluded_id) ON reconciliation_runs TO ledgerbeat_worker;
"""

DOWN = """
DROP TABLE reconciliation_pairs;
ALTER TABLE reconciliation_runs DROP COLUMN concluded_from, DROP COLUMN concluded_until, DROP COLUMN concluded_id;
"""
