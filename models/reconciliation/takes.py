"""Takes: what a run was told, from the first row of its feed to the last. Only whole takes count.

    taking_id   the take under way, or one that was left half-way: a source that failed, a process that died, a feed
                too short to conclude from. Nobody but the run itself looks at its records.
    take_id     the last whole take, of which the run concluded. It is the run's until there is a newer one.

Where each run is told a file of its own, what a run was not told yet is awaited: no other run calls it missing.
"""

from dataclasses import replace
from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.reconciliation.scope import Scope

BEGIN = text("""
    WITH before AS (SELECT taking_id FROM reconciliation_runs WHERE id = :run_id)
    UPDATE reconciliation_runs SET taking_id = nextval('reconciliation_takes'), records = 0, bad_rows = 0
    WHERE id = :run_id RETURNING taking_id, (SELECT taking_id FROM before)
""")

COMPLETE = text("""
    WITH before AS (SELECT take_id FROM reconciliation_runs WHERE id = :run_id)
    UPDATE reconciliation_runs SET take_id = taking_id, taking_id = NULL
    WHERE id = :run_id RETURNING (SELECT take_id FROM before)
""")

DROP_RECORDS = text("DELETE FROM provider_records WHERE take_id = :take_id")
DROP_BAD_ROWS = text("DELETE FROM reconciliation_bad_rows WHERE run_id = :run_id")

# By date: this run's take under way, and the whole ones of the others.
TAKES = text("""
    SELECT CASE id WHEN :run_id THEN taking_id ELSE take_id END AS take FROM reconciliation_runs
    WHERE tenant = :tenant AND provider = :provider
        AND CASE id WHEN :run_id THEN taking_id IS NOT NULL ELSE take_id IS NOT NULL AND business_date >= :since END
    ORDER BY business_date
""")

# What the runs judge that began a take and never had a whole one.
AWAITED = text("""
    SELECT CAST(coalesce(range_agg(tstzrange(window_from, window_to)), '{}') AS text) FROM reconciliation_runs
    WHERE tenant = :tenant AND provider = :provider AND id <> :run_id AND taking_id IS NOT NULL AND take_id IS NULL
""")


def begin_take(session: Session, run_id: int) -> int:
    """The number of a new take of this run. What an earlier one left half-way is dropped, a whole one stays."""
    take_id, unfinished = session.execute(BEGIN, {"run_id": run_id}).one()
    session.execute(DROP_BAD_ROWS, {"run_id": run_id})
    _drop(session, unfinished)
    return int(take_id)


def complete_take(session: Session, run_id: int) -> None:
    """The take under way is whole: it is the run's from now on, and the one before is dropped."""
    _drop(session, session.execute(COMPLETE, {"run_id": run_id}).scalar_one())


def recall_takes(session: Session, scope: Scope, *, since: date) -> Scope:
    """The scope with the takes of business dates from `since` on that stand at this moment, and what is awaited."""
    asked = {name: getattr(scope, name) for name in ("run_id", "tenant", "provider")}
    takes = tuple(session.execute(TAKES, asked | {"since": since}).scalars())
    awaited = session.execute(AWAITED, asked).scalar_one() if scope.of_files else "{}"
    return replace(scope, takes=takes, awaited=awaited)


def _drop(session: Session, take_id: int | None) -> None:
    if take_id is not None:
        session.execute(DROP_RECORDS, {"take_id": take_id})
