"""The feed of a run: staged chunk by chunk, so that memory holds one, and looked over before anything is made of it."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from models.reconciliation.scope import allow_long_statements
from models.reconciliation.staging import clear_stage, keep_bad_rows, stage, taken_by
from models.reconciliation.surveying import Survey, newest_night, runs_since, survey
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


def recall_nights(run: Run) -> None:
    """What other nights were told, of other times; and where each is told a file of its own, that is all one feed."""
    claim = run.claim
    with run.transaction() as session:
        concluded = newest_night(session, claim.tenant, claim.provider)
        newest = max(claim.business_date, concluded or claim.business_date)
        runs = runs_since(session, claim.run_id, claim.tenant, claim.provider, since=newest - KEPT)
    gone = forgotten_before(newest, run.tenant.timezone)
    run.scope = replace(run.scope, runs=runs, of_files=run.file is not None, forgotten_before=gone)


def stage_feed(run: Run, source: RecordSource) -> None:
    """Everything the provider tells, in chunks: memory holds one.

    What an earlier revision staged goes once the first chunk is there: a source that cannot be read takes nothing away.
    """
    told = iter(source.read(Window(run.night.fetched_from, run.night.fetched_until)))
    chunk = list(islice(told, CHUNK_ROWS))
    _clear(run)
    while chunk:
        _stage_chunk(run, chunk)
        chunk = list(islice(told, CHUNK_ROWS))


def _clear(run: Run) -> None:
    with run.transaction() as session:
        run.renew(session, STATEMENT_SECONDS)
        allow_long_statements(session)
        clear_stage(session, run.claim.run_id)


def _stage_chunk(run: Run, chunk: Sequence[Record | BadRow]) -> None:
    records = [one for one in chunk if isinstance(one, Record)]
    bad = [one for one in chunk if isinstance(one, BadRow)]
    now, claim = run.clock(), run.claim
    with run.transaction() as session:
        run.renew(session, STAGING_SECONDS)
        stage(session, claim.run_id, claim.tenant, claim.provider, records)
        keep_bad_rows(session, claim.run_id, claim.tenant, claim.provider, bad, now=now)
    run.records += len(records)
    run.bad_rows += len(bad)


def look_over(run: Run) -> Survey:
    """A file is compared with its own date: the look-back was told by other files."""
    since = run.night.judged_from if run.file is None else run.night.starts_at
    with run.transaction() as session:
        run.renew(session, STATEMENT_SECONDS)
        allow_long_statements(session)
        found = survey(session, run.scope, since=since, of_file=run.file is not None)
    if found.staged != run.records:
        raise SourceFailed(
            f"{run.records} records were told, {found.staged} are staged: the database lost some"
        )
    return found


def is_short(run: Run, found: Survey) -> bool:
    return is_truncated(
        provider_rows=found.provider_rows,
        ledger_rows=found.ledger_rows,
        records=run.records,
        median_records=found.median_records,
    )
