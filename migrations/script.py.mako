"""${message}

Deploy: before the code (additive) | after the code (destructive).
Locks: which table, how long; nothing that rewrites a large table.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    """)


def downgrade() -> None:
    op.execute("""
    """)
