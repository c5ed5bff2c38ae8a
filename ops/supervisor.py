"""Keeps a list of processes running: started in order, started again when they die, stopped in reverse order.

Each stands under a guard (ops.embedded.guard) in a session of its own: Ctrl-C in a terminal reaches the supervisor
only, and when the supervisor is killed with -9 they are stopped all the same. What they print goes to one file
each, and with `echo` also to the terminal, with their name before every line.
"""

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import LedgerbeatError
from ops.embedded.errors import EmbeddedError, tail
from ops.embedded.process import GuardedProcess, Launch

POLL_SECONDS = 0.05
BACKOFF_SECONDS_MIN = 0.5
BACKOFF_SECONDS_MAX = 10.0
STEADY_SECONDS = 30.0
"""A process that ran this long is healthy: its next restart is again a quick one."""


class SupervisorError(LedgerbeatError):
    """A process died, or was not ready in time, while everything was being started."""


def always_ready() -> bool:
    return True


@dataclass(frozen=True)
class Process:
    """One process to keep running. `ready` is asked again and again, for at most `start_seconds`."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    ready: Callable[[], bool] = always_ready
    stop_signal: signal.Signals = signal.SIGTERM
    grace_seconds: float = 60.0
    start_seconds: float = 60.0


@dataclass
class Running:
    """One process and how it fares."""

    process: Process
    log: Path
    guarded: GuardedProcess | None = None
    started_at: float = 0.0
    restarts: int = 0
    backoff_seconds: float = BACKOFF_SECONDS_MIN
    due_at: float | None = None
    wanted: bool = True
    shown: int = field(default=0)


class Supervisor:
    """Starts, watches and stops. `say` gets one line for each event."""

    def __init__(
        self,
        processes: Sequence[Process],
        logs: Path,
        *,
        say: Callable[[str], object] = print,
        echo: bool = False,
    ) -> None:
        self._logs = logs
        self._all = {process.name: Running(process, logs / f"{process.name}.log") for process in processes}
        self._say = say
        self._echo = echo
        self._busy = threading.RLock()
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start all in order, wait until all are ready, and watch them from then on.

        Raises SupervisorError with the last lines of a process that died or was not ready; nothing is left then.
        """
        try:
            for running in self._all.values():
                self._spawn(running)
            for running in self._all.values():
                self._await_ready(running)
        except BaseException:
            self.stop()
            raise
        self._watcher.start()

    def stop(self) -> None:
        """Stop all in reverse order; each has its grace, then SIGKILL. May be called again."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join()
        for name in reversed(self._all):
            self.stop_one(name)

    def stop_one(self, name: str) -> None:
        """Stop one process and leave it so until `start_one`."""
        with self._busy:
            running = self._all[name]
            running.wanted, running.due_at = False, None
            guarded, running.guarded = running.guarded, None
        if guarded is not None:
            code = guarded.stop()
            as_asked = code in {0, 128 + running.process.stop_signal}
            self._say(f"{name}: {'stopped' if as_asked else ended(code)}")
            self._show(running)

    def start_one(self, name: str) -> None:
        """Start a stopped process again and wait until it is ready."""
        running = self._all[name]
        with self._busy:
            running.wanted = True
            if running.guarded is None:
                self._spawn(running)
        self._await_ready(running)

    def pid(self, name: str) -> int | None:
        """The process's number now, or None while it is down."""
        with self._busy:
            guarded = self._all[name].guarded
            return guarded.pid if guarded is not None and guarded.poll() is None else None

    def pids(self) -> dict[str, int | None]:
        return {name: self.pid(name) for name in self._all}

    def restarts(self, name: str) -> int:
        return self._all[name].restarts

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a process a signal; nothing happens while it is down."""
        with self._busy:
            guarded = self._all[name].guarded
            if guarded is not None:
                guarded.kill(number)

    def _spawn(self, running: Running) -> None:
        process = running.process
        launch = Launch(
            process.argv,
            running.log,
            process.environment,
            ladder=((process.stop_signal, process.grace_seconds),),
            cwd=str(process.cwd),
        )
        running.guarded = GuardedProcess(launch)
        running.started_at, running.due_at = time.monotonic(), None
        running.shown = running.guarded.log_start
        self._say(f"{process.name}: started (process {running.guarded.pid})")

    def _await_ready(self, running: Running) -> None:
        process, guarded = running.process, running.guarded
        deadline = time.monotonic() + process.start_seconds
        while guarded is not None and not process.ready():
            code = guarded.poll()
            if code is not None or time.monotonic() > deadline:
                what = f"{ended(code)} while it started" if code is not None else (
                    f"was not ready within {process.start_seconds:g} s"
                )  # fmt: skip
                said = tail(running.log, guarded.log_start, lines=20)
                raise SupervisorError(f"{process.name} {what}; the end of {running.log}:\n{said}")
            self._show(running)
            time.sleep(POLL_SECONDS)

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            for running in self._all.values():
                self._show(running)
                with self._busy:
                    if running.wanted and not self._stopping.is_set():
                        self._look_after(running)

    def _look_after(self, running: Running) -> None:
        """Notice a death, and start again when its time has come."""
        now = time.monotonic()
        if running.guarded is not None and (code := running.guarded.poll()) is not None:
            running.guarded = None
            self._set_backoff(running, now)
            running.due_at = now + running.backoff_seconds
            self._say(
                f"{running.process.name}: {ended(code)}, starting again in {running.backoff_seconds:g} s "
                f"(see {running.log})"
            )
        if running.due_at is not None and now >= running.due_at:
            running.restarts += 1
            try:
                self._spawn(running)
            except EmbeddedError as error:
                self._set_backoff(running, now)
                running.due_at = now + running.backoff_seconds
                self._say(f"{running.process.name}: {error}; trying again in {running.backoff_seconds:g} s")

    def _set_backoff(self, running: Running, now: float) -> None:
        steady = running.restarts == 0 or now - running.started_at > STEADY_SECONDS
        doubled = min(running.backoff_seconds * 2, BACKOFF_SECONDS_MAX)
        running.backoff_seconds = BACKOFF_SECONDS_MIN if steady else doubled

    def _show(self, running: Running) -> None:
        """With `echo`, print the whole lines that a process wrote since the last look."""
        if not self._echo or not running.log.exists():
            return
        with self._busy, running.log.open("rb") as file:
            file.seek(running.shown)
            whole, newline, _ = file.read().rpartition(b"\n")
            running.shown += len(whole + newline)
        for line in whole.decode(errors="replace").splitlines():
            print(f"{running.process.name:>8} | {line}", file=sys.stderr)


def ended(code: int) -> str:
    """How a process ended, in words."""
    if code > 128:  # what a guard makes of a signal
        try:
            return f"ended by {signal.Signals(code - 128).name}"
        except ValueError:
            return f"ended with code {code}"
    return f"ended with code {code}"
