"""A payout whose money was brought back by a reversal is paid again when that reversal fails.

Deploy: before the code. Locks: `payout_moves` for a moment; writers of payouts wait for it.
"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = """
ALTER TABLE payout_moves DISABLE TRIGGER payout_moves_fixed;
INSERT INTO payout_moves VALUES ('returned', 'paid');
ALTER TABLE payout_moves ENABLE TRIGGER payout_moves_fixed;
"""

DOWN = """
ALTER TABLE payout_moves DISABLE TRIGGER payout_moves_fixed;
DELETE FROM payout_moves WHERE (from_state, to_state) = ('returned', 'paid');
ALTER TABLE payout_moves ENABLE TRIGGER payout_moves_fixed;
"""
