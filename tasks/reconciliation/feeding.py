"""The feed of a run: staged chunk by chunk, so that memory holds one, and looked over before anything is made of it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice

from sqlalchemy.orm import Session

from models.reconciliation.scope import allow_long_statements
from models.reconciliation.staging import keep_bad_rows, stage, taken_by
from models.reconciliation.surveying import Survey, newest_night, survey
from models.reconciliation.takes import begin_take, recall_takes
from tasks.reconciliation.policy import KEPT, forgotten_before, is_truncated
from tasks.reconciliation.run import STAGING_SECONDS, STATEMENT_SECONDS, File, Run
from worker.providers.records.port import BadRow, Record, RecordSource, SourceFailed, Window

CHUNK_ROWS = 10_000


def file_of(source: RecordSource) -> File | None:
    """A source that has a digest is a file, of which each run takes another."""
    digest = getattr(source, "digest", None)
    return None if digest is None else File(str(getattr(source, "name", "")), str(digest))


def refuse_taken(run: Run, file: File) -> None:
    """The same file again belongs to the run that took it."""
    claim = run.claim
    with run.transaction() as session:
        taker = taken_by(session, claim.tenant, claim.provider, file.digest)
    if taker not in (None, claim.run_id):
        raise SourceFailed(f"the file {file.name} was taken before, by run {taker}")


def stage_feed(run: Run, source: RecordSource) -> None:
    """Everything the provider tells, in chunks: memory holds one.

    The take begins once its first row is there: a source that cannot be read at all is as if it were not.
    """
    told = iter(source.read(Window(run.night.fetched_from, run.night.fetched_until)))
    first = list(islice(told, 1))
    _begin(run)
    rows = chain(first, told)
    while chunk := list(islice(rows, CHUNK_ROWS)):
        _stage_chunk(run, chunk)


def _begin(run: Run) -> None:
    with run.transaction() as session:
        run.renew(session, STATEMENT_SECONDS)
        allow_long_statements(session)
        take_id = begin_take(session, run.claim.run_id)
    run.scope = replace(run.scope, take_id=take_id)


def _stage_chunk(run: Run, chunk: Sequence[Record | BadRow]) -> None:
    records = [one for one in chunk if isinstance(one, Record)]
    bad = [one for one in chunk if isinstance(one, BadRow)]
    now, claim = run.clock(), run.claim
    with run.transaction() as session:
        run.renew(session, STAGING_SECONDS)
        stage(session, run.scope.take_id, claim.tenant, claim.provider, records)
        keep_bad_rows(session, claim.run_id, claim.tenant, claim.provider, bad, now=now)
    run.records += len(records)
    run.bad_rows += len(bad)


def look_over(run: Run) -> Survey:
    """A file is compared with its own date: the look-back was told by other files."""
    since = run.night.judged_from if run.file is None else run.night.starts_at
    with run.transaction() as session:
        run.renew(session, STATEMENT_SECONDS)
        allow_long_statements(session)
        recall_nights(run, session)
        found = survey(session, run.scope, since=since, of_file=run.file is not None)
    if found.staged != run.records:
        raise SourceFailed(
            f"{run.records} records were told, {found.staged} are staged: the database lost some"
        )
    return found


def recall_nights(run: Run, session: Session) -> None:
    """What other nights were told, of other times; and where each is told a file of its own, that is all one feed.

    Of this moment: what became whole since, or was begun, changes what can be judged.
    """
    claim = run.claim
    concluded = newest_night(session, claim.tenant, claim.provider)
    newest = max(claim.business_date, concluded or claim.business_date)
    gone = forgotten_before(newest, run.tenant.timezone)
    scope = replace(run.scope, of_files=run.file is not None, forgotten_before=gone)
    run.scope = recall_takes(session, scope, since=newest - KEPT)


def is_short(run: Run, found: Survey) -> bool:
    return is_truncated(
        provider_rows=found.provider_rows,
        ledger_rows=found.ledger_rows,
        records=run.records,
        median_records=found.median_records,
    )
