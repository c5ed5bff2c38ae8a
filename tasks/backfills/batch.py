"""One batch of a run: read a portion, apply it and note where the run stands in one transaction, so that whoever is
killed, doubled or late changes nothing twice.

A batch that fails for a reason that may pass is tried again; one that fails for good is read again with half as many
rows, until one row stands alone: that one is set aside, its neighbours are not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from models.backfills.claims import RunClaimLost, hold_run
from models.backfills.quarantine import SetAside, set_aside, settle
from models.backfills.runs import Run, check_point, load_run, set_extent
from tasks.backfills import policy
from tasks.backfills.claims import CLAIM_SECONDS, NotNow, claim, kept, look_at
from tasks.backfills.correcting import close_corrected
from tasks.backfills.ending import end, halt, stop
from tasks.backfills.faults import fault_of, passes_soon
from tasks.backfills.hands import Hands
from tasks.backfills.kinds import feed_of
from tasks.backfills.policy import Timing, cap_words, checkpoint, step, too_many_failed
from tasks.backfills.port import Applied, Feed, PastCap, Portion
from tasks.backfills.taking import why_taken
from worker.sources.port import SourceChanged, SourceFailed
from worker.telemetry import describe_error

PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Between the attempts at one transaction."""

Result = TypeVar("Result")
Apply = Callable[[Session, Run, datetime], Applied]
log = structlog.get_logger("ledgerbeat.backfills")


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The run as it stands now. `taken`: somebody else works on it. `wait_seconds`: so long live work goes first."""

    run: Run
    taken: bool = False
    wait_seconds: float = 0.0

    @property
    def more(self) -> bool:
        """Is a next batch ours to bring, by the turn `run.claim_version`?"""
        return not self.taken and self.run.state in ("pending", "running")


def run_batch(hands: Hands, run_id: UUID, turn: int | None = None) -> BatchReport:
    """Do the run's next batch, if nobody else does. Safe to repeat, to run twice at once and to be killed anywhere.

    `turn`: the claim that the one before has handed over. Raises NotFound, and what keeps the database away: the
    claim runs out then, and the tick brings the run again.
    """
    report = _run_batch(hands, run_id, turn)
    if report.run.state not in ("pending", "running"):
        hands.ahead.forget(run_id)
    return report


def _run_batch(hands: Hands, run_id: UUID, turn: int | None) -> BatchReport:
    with hands.locks.held(run_id, CLAIM_SECONDS) as lock:
        if lock is None:
            return BatchReport(look_at(hands, run_id), taken=True)
        claimed = _patiently(hands, lambda: claim(hands, run_id, turn))
        if isinstance(claimed, NotNow):
            return BatchReport(claimed.run, claimed.taken, claimed.wait_seconds)
        with kept(hands, claimed.run):
            return _Batch(hands, claimed.run).work(claimed.rows)


@dataclass(slots=True)
class _Batch:
    """The run that is claimed, and what is needed for its batch."""

    hands: Hands
    run: Run
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.hands.ticks()

    def work(self, rows: int) -> BatchReport:
        """Whatever the source says is a pause with a sentence; a claim that was lost writes nothing."""
        try:
            feed = feed_of(self.hands, self.run)
            if (failed := self._measure(feed)) is not None:
                return failed
            return self._batch(feed_of(self.hands, self.run), rows)
        except RunClaimLost:
            log.info("backfill.claim_lost", backfill_id=str(self.run.id))
            return BatchReport(self.run, taken=True)
        except SourceChanged as changed:
            return self._halt("source_changed", str(changed))
        except SourceFailed as failed_source:
            return self._halt("source_failed", str(failed_source))

    def _measure(self, feed: Feed[Any]) -> BatchReport | None:
        """Note, before the first batch, how much there is. A report when the same was taken to its end before."""
        run = self.run
        if run.batches or (run.source_digest, run.bytes_total, run.rows_total) != (None, None, None):
            return None
        extent = feed.extent()
        with self.hands.transaction() as session:
            held = hold_run(session, run)
            if (taken := why_taken(session, held, extent)) is not None:
                return BatchReport(end(session, held, "cancelled", now=self.hands.clock(), error=taken))
            set_extent(
                session,
                held,
                digest=extent.digest,
                bytes_total=extent.bytes_total,
                rows_total=extent.rows_total,
            )
            self.run = load_run(session, run.id) or held
        return None

    def _batch(self, feed: Feed[Any], rows: int) -> BatchReport:
        """At most `rows`, or as many of the first as can be applied."""
        while True:
            portion = self._read(feed, rows)
            applying = self.hands.ahead.while_applied(feed, self.run, portion, rows)
            try:
                return self._commit(rows, _applying(applying, portion))
            except (RunClaimLost, SourceFailed):
                raise
            except Exception as error:
                fault, cause = fault_of(error), describe_error(error)
                if fault == "away":
                    raise
                size = len(portion.items)
                log.warning(
                    "backfill.batch.failed", backfill_id=str(self.run.id), rows=size, fault=fault, cause=cause
                )
            if fault == "row" and size == 1:
                return self._commit(rows, _blaming(feed, portion, cause))
            if fault == "refuses" or size <= 1:
                return self._halt("batch_failed", f"the batch cannot be written: {cause}")
            rows = size // 2

    def _read(self, feed: Feed[Any], rows: int) -> Portion[Any]:
        try:
            return _patiently(self.hands, lambda: self.hands.ahead.read(feed, self.run, rows))
        except (SourceFailed, RunClaimLost):
            raise
        except Exception as error:
            if fault_of(error) == "away":
                raise
            raise SourceFailed(f"the source could not be read: {describe_error(error)}") from error

    def _commit(self, rows: int, apply: Apply) -> BatchReport:
        return _patiently(self.hands, lambda: self._commit_once(rows, apply))

    def _commit_once(self, rows: int, apply: Apply) -> BatchReport:
        with self.hands.transaction() as session:
            held = hold_run(session, self.run)
            now, locked = self.hands.clock(), self.hands.ticks()
            if held.stop_asked is not None:
                return BatchReport(stop(session, held, now=now))
            applied = apply(session, held, now)
            _write_aside(session, held, applied.set_aside, now)
            close_corrected(session, held, applied.row_ids, now)
            others = self.hands.waiters(session)
            ended = self.hands.ticks()
            timing = Timing(rows, ended - self.began, ended - locked, others)
            return BatchReport(self._go_on(session, held, applied, timing, now))

    def _go_on(self, session: Session, held: Run, applied: Applied, timing: Timing, now: datetime) -> Run:
        at = checkpoint(held, applied, timing, now=now)
        run = check_point(session, held, at, now=now)
        match step(held, applied, at):
            case "done":
                return end(session, run, "done", now=now)
            case PastCap() as past_cap:
                return halt(session, run, "cap_reached", cap_words(run, past_cap))
            case "on" if _failed(applied) and too_many_failed(held):
                return halt(session, run, "batch_failed", f"{policy.FAILED_ROWS_MAX} rows failed, one by one")
            case "on":
                return run

    def _halt(self, code: str, error: str) -> BatchReport:
        """Its own transaction: that of the batch is gone."""

        def work() -> BatchReport:
            with self.hands.transaction() as session:
                held = hold_run(session, self.run)
                now = self.hands.clock()
                stopped = (
                    stop(session, held, now=now) if held.stop_asked else halt(session, held, code, error)
                )
                return BatchReport(stopped)

        try:
            return _patiently(self.hands, work)
        except RunClaimLost:
            return BatchReport(self.run, taken=True)


def _applying(feed: Feed[Any], portion: Portion[Any]) -> Apply:
    return lambda session, run, now: feed.apply(session, run, portion, now=now)


def _blaming(feed: Feed[Any], portion: Portion[Any], cause: str) -> Apply:
    """Nothing is applied: the rows are set aside."""
    rows = feed.blame(portion, f"it could not be applied: {cause}")
    return lambda _session, _run, _now: Applied(
        portion.after, portion.is_last, portion.bytes_read, set_aside=rows
    )


def _write_aside(session: Session, run: Run, rows: Iterable[SetAside], now: datetime) -> None:
    """In the second look they are in the quarantine already."""
    if run.phase == "read":
        set_aside(session, run.id, list(rows), now=now)
    else:
        settle(session, run.id, [(row.place, row.state, row.code, row.reason) for row in rows])


def _failed(applied: Applied) -> bool:
    return any(row.code == "failed" for row in applied.set_aside)


def _patiently(hands: Hands, work: Callable[[], Result]) -> Result:
    """Again, while its error may pass soon."""
    for seconds in PAUSES:
        try:
            return work()
        except Exception as error:
            if not passes_soon(error):
                raise
            log.info("backfill.batch.retried", cause=describe_error(error), seconds=seconds)
        hands.sleep(seconds)
    return work()
