"""A backfill knows when others have waited for what its batches hold, and makes room for them.

Deploy: before the code. Locks: `backfills`, for as long as a column without a default takes.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = """
ALTER TABLE backfills ADD COLUMN others_waited_at timestamptz;
GRANT UPDATE (others_waited_at) ON backfills TO ledgerbeat_worker;
"""

DOWN = """
ALTER TABLE backfills DROP COLUMN others_waited_at;
"""
