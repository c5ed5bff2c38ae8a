"""Child processes that may be killed, forked from a server that has imported everything, so that hundreds of them
may live and die.
"""

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from worker import celery, locks

SECONDS_MAX = 120.0
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["pytest", "tests.integration.crashes.scenarios", "tests.integration.payouts.crashing"]
)
ASKING = threading.Lock()
"""Beginning a process asks how all others ended, and an end is told once: of two threads that ask at the same time
one reads nothing, and takes that for exit code 255."""


@dataclass(frozen=True)
class Child:
    """A process at work, and what it says of itself."""

    process: BaseProcess
    says: Connection

    def heard(self) -> Iterator[object]:
        """All that it says, until it ends."""
        try:
            while self.says.poll(SECONDS_MAX):
                yield self.says.recv()
        except EOFError:
            return
        raise AssertionError("a child neither ended nor died")

    def exitcode(self) -> int | None:
        """Waits for its end."""
        connection.wait([self.process.sentinel], SECONDS_MAX)
        with ASKING:
            self.process.join(0)
            return self.process.exitcode


def begin(work: Callable[..., None], *arguments: object) -> Child:
    """Call `work` in a process of its own, with the arguments and its end of a pipe."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=_patiently, args=(work, *arguments, theirs))
    with ASKING:
        process.start()
    theirs.close()
    return Child(process, ours)


def _patiently(work: Callable[..., None], *arguments: object) -> None:
    """A Redis that is slow to answer, on a machine that is busy elsewhere, is not given up: the child would go on
    without it, and never reach the point behind.
    """
    locks.TIMEOUT_SECONDS = SECONDS_MAX
    celery.PUBLISH_SECONDS = SECONDS_MAX
    celery.REDIS_OPTIONS.update(socket_connect_timeout=SECONDS_MAX, socket_timeout=SECONDS_MAX)
    work(*arguments)
