"""The same file again: refused unless it is asked for, since whoever feeds it twice by mistake wants to know.

The command line finds out before it makes a run. It hashes a file only where one of the same size was taken before, so
that nobody waits for nothing. A run that a job has asked for finds out before its first batch, and ends there.
"""

from collections.abc import Callable, Mapping
from uuid import UUID

from sqlalchemy.orm import Session

from models.backfills.runs import NewRun, Run
from models.backfills.taken import taken_before
from tasks.backfills.kinds import kind_of
from worker.database import Transaction
from worker.settings import TenantSettings
from worker.sources.port import Extent


def why_taken(session: Session, run: Run | NewRun, extent: Extent) -> str | None:
    """Why the run may not take this content, if so."""
    if extent.digest is None or _may(run):
        return None
    return _told(run, _taken(session, run, extent.bytes_total).get(extent.digest))


def why_taken_file(
    transaction: Transaction, tenant: TenantSettings, new: NewRun, on_hash: Callable[[], object]
) -> str | None:
    """The same, of a run that is not made yet: its file is only hashed, with `on_hash` before, when one of its size
    was taken. Raises SourceFailed."""
    file = kind_of(new.kind).file(tenant, new.source)
    if file is None or _may(new):
        return None
    with transaction() as session:
        taken = _taken(session, new, file.size())
    if not taken:
        return None
    on_hash()
    return _told(new, taken.get(str(file.extent().digest)))


def _may(run: Run | NewRun) -> bool:
    """A dry run may, and one that was told to."""
    return run.dry_run or bool(run.options.get("force"))


def _taken(session: Session, run: Run | NewRun, bytes_total: int | None) -> Mapping[str, UUID]:
    return taken_before(
        session, tenant=run.tenant, kind=run.kind, namespace=run.namespace, bytes_total=bytes_total
    )


def _told(run: Run | NewRun, before: UUID | None) -> str | None:
    if before is None:
        return None
    return (
        f"backfill {before} has taken the same content to its end in the namespace {run.namespace}; to take it again "
        "is safe, since each row is posted once: start one with --force (in a job options.force)"
    )
