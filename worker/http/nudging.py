"""Nudges outside the request's path: a frozen Redis delays no answer, and the sweep covers what was not sent."""

import threading
import time
from collections.abc import Callable, Collection

import structlog

from worker.telemetry import describe_error

PAUSE_SECONDS = 0.05
"""Between two nudges: under load a drain then finds a batch, and not a handful. The first one never waits."""

log = structlog.get_logger("ledgerbeat.http")


class NudgeThread:
    """Hands tenants to `nudge` in a thread of its own. While one call lasts, and PAUSE_SECONDS more, those that come
    are gathered."""

    def __init__(self, nudge: Callable[[Collection[str]], object]) -> None:
        self._nudge = nudge
        self._pending: set[str] = set()
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="nudges", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, within_seconds: float = 2.0) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(within_seconds)

    def hand_over(self, tenants: Collection[str]) -> None:
        """Returns at once."""
        with self._changed:
            self._pending.update(tenants)
            self._changed.notify()

    def _work(self) -> None:
        while tenants := self._next():
            try:
                self._nudge(tenants)
            except Exception as error:  # noqa: BLE001 - a nudge may be lost; this thread may not
                log.warning("http.nudge.failed", error=describe_error(error), tenants=len(tenants))
            time.sleep(PAUSE_SECONDS)

    def _next(self) -> set[str]:
        """The tenants gathered so far; empty only at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._stopping)
            tenants, self._pending = self._pending, set()
            return tenants
