"""Three more kinds of findings: a duplicate payment, more disputed than captured, two records of one id.

Deploy: before the code. Locks: `reconciliation_findings`, for as long as dropping and adding a constraint takes; the
rows that stand are checked afterwards, while others write.
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)


UP = """
ALTER TABLE reconciliation_findings
    DROP CONSTRAINT reconciliation_findings_kind,
    ADD CONSTRAINT reconciliation_findings_kind CHECK (kind IN ('missing_at_provider', 'missing_in_ledger',
        'amount_mismatch', 'currency_mismatch', 'status_mismatch', 'fee_mismatch', 'duplicate_at_provider',
        'late_reversal', 'unknown_event', 'in_doubt_overdue', 'invariant_broken', 'duplicate_payment',
        'disputed_more_than_captured', 'duplicate_record')) NOT VALID;
ALTER TABLE reconciliation_findings VALIDATE CONSTRAINT reconciliation_findings_kind;
"""

DOWN = """
DELETE FROM reconciliation_findings
    WHERE kind IN ('duplicate_payment', 'disputed_more_than_captured', 'duplicate_record');
ALTER TABLE reconciliation_findings
    DROP CONSTRAINT reconciliation_findings_kind,
    ADD CONSTRAINT reconciliation_findings_kind CHECK (kind IN ('missing_at_provider', 'missing_in_ledger',
        'amount_mismatch', 'currency_mismatch', 'status_mismatch', 'fee_mismatch', 'duplicate_at_provider',
        'late_reversal', 'unknown_event', 'in_doubt_overdue', 'invariant_broken'));
"""
