"""Three more kinds of findings: of payments, of disputes, and of records that contradict each other.

Deploy: before the code. Locks: `reconciliation_findings`, while its rows are checked: there are as many as findings.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

OLD = """'missing_at_provider', 'missing_in_ledger', 'amount_mismatch', 'currency_mismatch', 'status_mismatch',
    'fee_mismatch', 'duplicate_at_provider', 'late_reversal', 'unknown_event', 'in_doubt_overdue', 'invariant_broken'"""
NEW = "'duplicate_payment', 'disputed_more_than_captured', 'duplicate_record'"

CHANGE = """
ALTER TABLE reconciliation_findings
    DROP CONSTRAINT reconciliation_findings_kind,
    ADD CONSTRAINT reconciliation_findings_kind CHECK (kind IN ({kinds}));
"""


def upgrade() -> None:
    op.execute(CHANGE.format(kinds=f"{OLD}, {NEW}"))


# The code before does not know them, and finds nothing of the sort.
def downgrade() -> None:
    op.execute(f"DELETE FROM reconciliation_findings WHERE kind IN ({NEW})")  # noqa: S608 - constants of this file
    op.execute(CHANGE.format(kinds=OLD))
