"""What a run is told belongs to a take; a run's last whole take is what counts, one that is not whole does not.

Deploy: before the code; a night that is under way meanwhile fails, and is tried again. Locks: `provider_records`, for
no longer than it takes to rename a column; new columns of `reconciliation_runs` without a default.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(UP)
    op.execute(RENAME.format(old="run_id", new="take_id"))


def downgrade() -> None:
    op.execute(DOWN)
    op.execute(RENAME.format(old="take_id", new="run_id"))


# A newer PostgreSQL gives this constraint a name, an older one does not.
RENAME = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_constraint WHERE conname = 'provider_records_{old}_not_null') THEN
        ALTER TABLE provider_records
            RENAME CONSTRAINT provider_records_{old}_not_null TO provider_records_{new}_not_null;
    END IF;
END $$;
"""

# The records that are there are the one take of their run, and have its number. Whole are those of runs that concluded.
UP = """
CREATE SEQUENCE reconciliation_takes AS bigint;
SELECT setval('reconciliation_takes', coalesce(max(id), 0) + 1, false) FROM reconciliation_runs;
ALTER TABLE reconciliation_runs
    ADD COLUMN take_id bigint,
    ADD COLUMN taking_id bigint;
UPDATE reconciliation_runs SET
    take_id = CASE WHEN state = 'done' THEN id END,
    taking_id = CASE WHEN state <> 'done' THEN id END
    WHERE records > 0;
ALTER TABLE provider_records RENAME COLUMN run_id TO take_id;
ALTER INDEX provider_records_run_id_idx RENAME TO provider_records_take_id_idx;
GRANT USAGE ON SEQUENCE reconciliation_takes TO ledgerbeat_worker;
GRANT UPDATE (take_id, taking_id) ON reconciliation_runs TO ledgerbeat_worker;
"""

# The code before knows one take of each run, by the run's number: the whole one, or else what there is.
DOWN = """
DELETE FROM provider_records p WHERE NOT EXISTS (
    SELECT FROM reconciliation_runs r WHERE coalesce(r.take_id, r.taking_id) = p.take_id);
UPDATE provider_records p SET take_id = r.id FROM reconciliation_runs r
    WHERE coalesce(r.take_id, r.taking_id) = p.take_id AND p.take_id <> r.id;
ALTER INDEX provider_records_take_id_idx RENAME TO provider_records_run_id_idx;
ALTER TABLE provider_records RENAME COLUMN take_id TO run_id;
ALTER TABLE reconciliation_runs DROP COLUMN take_id, DROP COLUMN taking_id;
DROP SEQUENCE reconciliation_takes;
"""
