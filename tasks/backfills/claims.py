"""Whose a run is: claimed for one batch at a time, and kept while a slow source is read."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from models.backfills.claims import claim_run, postpone_run, renew_claim
from models.backfills.runs import Run, known_run
from tasks.backfills.ending import stop
from tasks.backfills.hands import Hands
from tasks.backfills.policy import pace_facts
from worker.telemetry import describe_error

CLAIM_SECONDS = 60.0
RENEW_SECONDS = 15.0

log = structlog.get_logger("ledgerbeat.backfills")


@dataclass(frozen=True, slots=True)
class Claimed:
    """Ours for one batch of at most `rows`."""

    run: Run
    rows: int


@dataclass(frozen=True, slots=True)
class NotNow:
    """Nothing is to be done: it is stopped or at its end, live work goes first for so many seconds, or it is
    `taken` by somebody else."""

    run: Run
    wait_seconds: float = 0.0
    taken: bool = False


def claim(hands: Hands, run_id: UUID, turn: int | None) -> Claimed | NotNow:
    """Take the run for one batch. Raises NotFound."""
    now = hands.clock()
    with hands.transaction() as session:
        run = claim_run(session, run_id, seconds=CLAIM_SECONDS, now=now, turn=turn)
        if run is None:
            found = known_run(session, run_id)
            return NotNow(found, taken=found.state in ("pending", "running"))
        if run.stop_asked is not None:
            return NotNow(stop(session, run, now=now))
        pace = hands.pace(session, pace_facts(run, now), now)
        if pace.wait_seconds > 0:
            postpone_run(session, run, until=now + timedelta(seconds=pace.wait_seconds))
            return NotNow(run, wait_seconds=pace.wait_seconds)
        return Claimed(run, pace.rows_next)


def look_at(hands: Hands, run_id: UUID) -> Run:
    """The run as it stands. Raises NotFound."""
    with hands.transaction() as session:
        return known_run(session, run_id)


@contextmanager
def kept(hands: Hands, run: Run) -> Iterator[None]:
    """Renews the claim in the background until the block ends."""
    ended = threading.Event()
    keeper = threading.Thread(target=_keep, args=(hands, run, ended), name="keeper", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def _keep(hands: Hands, run: Run, ended: threading.Event) -> None:
    while not ended.wait(RENEW_SECONDS):
        try:
            with hands.transaction() as session:
                if not renew_claim(session, run, seconds=CLAIM_SECONDS, now=hands.clock()):
                    return
        except Exception as error:  # noqa: BLE001 - whoever takes the run over meanwhile is noticed before a commit
            log.warning("backfill.claim_not_renewed", backfill_id=str(run.id), cause=describe_error(error))
