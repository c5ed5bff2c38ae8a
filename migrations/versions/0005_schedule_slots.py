"""Schedule slots: each due slot is one row, inserted once.

Deploy: before the code. Locks: new objects only.
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = """
CREATE TABLE schedule_slots (
    schedule text NOT NULL,
    slot timestamptz NOT NULL,
    claimed_at timestamptz NOT NULL,
    finished_at timestamptz,
    result jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule, slot)
);
"""

DOWN = """
DROP TABLE schedule_slots;
"""
