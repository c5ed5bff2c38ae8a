"""Who works on a run: this process, with --here, or the workers, who are told of it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import FrameType
from uuid import UUID

from celery import Celery

from models.backfills.runs import Run
from ops.cli.backfills.watching import Watcher, watching
from ops.cli.quiet import quiet_logs
from tasks.backfills import service
from tasks.backfills.hands import Hands
from tasks.backfills.service import NotPossible
from tasks.backfills.throttle import throttle, waiters
from worker.celery import INTAKE_QUEUE, configuration_of
from worker.collecting import collect_seldom
from worker.database import Transaction
from worker.locks import BackfillLocks
from worker.settings import Settings

CTRL_C = "Ctrl-C in the terminal that worked on it"


class NoLocks:
    """Where no Redis is set: everybody has the lock, and the claim in PostgreSQL decides, as always."""

    @contextmanager
    def held(self, name: UUID | str, seconds: float) -> Iterator[object]:  # noqa: ARG002 - see hands.Locks
        """See tasks.backfills.hands.Locks."""
        yield self


@dataclass
class _Here:
    """Shows the run after each batch, and pauses it at the first one after Ctrl-C."""

    transaction: Transaction
    watcher: Watcher
    actor: str
    interrupted: bool = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.interrupted = True

    def on_progress(self, run: Run) -> None:
        self.watcher.show(run)
        if self.interrupted:
            self.interrupted = False
            self._pause(run)

    def _pause(self, run: Run) -> None:
        try:
            with self.transaction() as session:
                service.pause(session, run.id, actor=self.actor, reason=CTRL_C, now=datetime.now(UTC))
        except NotPossible:  # it has just ended
            return


def work_here(settings: Settings, transaction: Transaction, run: Run, actor: str) -> Run:
    """Batch after batch in this process. Ctrl-C pauses it at the end of its batch."""
    locks = BackfillLocks(settings.redis_url) if settings.redis_url else NoLocks()
    collect_seldom()
    hands = Hands(
        transaction, settings.tenants, locks, publish=lambda *_: None, pace=throttle, waiters=waiters
    )
    with watching() as watcher, quiet_logs():
        here = _Here(transaction, watcher, actor)
        before = signal.signal(signal.SIGINT, here.on_signal)
        try:
            return service.run_to_end(hands, run.id, here.on_progress)
        finally:
            signal.signal(signal.SIGINT, before)


def tell_workers(settings: Settings) -> None:
    """Wake the tick, which Beat would do within seconds. Never raises."""
    if settings.redis_url is None and settings.broker_url is None:
        return
    app = Celery("ledgerbeat.operator", set_as_current=False)
    app.add_defaults(partial(configuration_of, settings.require_broker_url()))
    try:
        app.send_task("backfills.tick", queue=INTAKE_QUEUE, expires=60)
    except Exception:  # noqa: BLE001, S110 - whatever the broker has, Beat asks in a moment
        pass
    finally:
        app.close()
