"""Rows that backfills set aside are closed: `corrected` by a later run, or `dismissed` by a person.

Deploy: before the code. Locks: `backfill_quarantine`, for as long as its rows are checked and indexed.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = """
ALTER TABLE backfill_quarantine
    ADD COLUMN closed_at timestamptz,
    ADD COLUMN closed_by text,
    ADD COLUMN closed_reason text,
    DROP CONSTRAINT backfill_quarantine_state,
    ADD CONSTRAINT backfill_quarantine_state
        CHECK (state IN ('open', 'waiting', 'posted', 'corrected', 'dismissed')),
    ADD CONSTRAINT backfill_quarantine_closed CHECK ((closed_at IS NOT NULL) = (state IN ('corrected', 'dismissed'))),
    ADD CONSTRAINT backfill_quarantine_closed_by CHECK ((closed_by IS NOT NULL) = (closed_at IS NOT NULL)),
    ADD CONSTRAINT backfill_quarantine_closed_reason CHECK ((closed_reason IS NOT NULL) = (state = 'dismissed'));
CREATE INDEX backfill_quarantine_open_idx ON backfill_quarantine (backfill_id) WHERE state IN ('open', 'waiting');
CREATE INDEX backfill_quarantine_correctable_idx ON backfill_quarantine (backfill_id, row_id)
    WHERE state = 'open' AND row_id IS NOT NULL AND code <> 'conflict';
GRANT UPDATE (closed_at, closed_by, closed_reason) ON backfill_quarantine TO ledgerbeat_worker;
"""

# What was closed stays in the audit trail only: the code before knows such rows as open.
DOWN = """
DROP INDEX backfill_quarantine_open_idx, backfill_quarantine_correctable_idx;
ALTER TABLE backfill_quarantine
    DROP CONSTRAINT backfill_quarantine_state,
    DROP CONSTRAINT backfill_quarantine_closed,
    DROP CONSTRAINT backfill_quarantine_closed_by,
    DROP CONSTRAINT backfill_quarantine_closed_reason;
UPDATE backfill_quarantine SET state = 'open' WHERE state IN ('corrected', 'dismissed');
ALTER TABLE backfill_quarantine
    DROP COLUMN closed_at, DROP COLUMN closed_by, DROP COLUMN closed_reason,
    ADD CONSTRAINT backfill_quarantine_state CHECK (state IN ('open', 'waiting', 'posted'));
"""
