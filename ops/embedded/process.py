"""A program under a guard: it ends when we stop it, when we end, and when we are killed with -9."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ops.embedded import guard
from ops.embedded.errors import EmbeddedError

GUARD = Path(guard.__file__).resolve()
SPAWN_SECONDS_MAX = 30.0
LOG_BYTES_MAX = 10 * 1024 * 1024

Ladder = Sequence[tuple[signal.Signals, float]]


@dataclass(frozen=True)
class Launch:
    """What to run: `ladder` is how to stop it (signal, seconds to wait), with SIGKILL always the last step."""

    argv: Sequence[str]
    log: Path
    environment: Mapping[str, str]
    ladder: Ladder = ((signal.SIGTERM, 10.0),)
    identity: Mapping[str, Any] = field(default_factory=dict)
    cwd: str = "/"
    keeps_open: tuple[int, ...] = ()
    """File descriptors the guard holds until the program has ended: a lock, for instance."""

    @property
    def stop_seconds_max(self) -> float:
        return sum(seconds for _, seconds in self.ladder)


class GuardedProcess:
    """One running program. `pid` is the program's, not the guard's."""

    def __init__(self, launch: Launch) -> None:
        """Start it; raises EmbeddedError when it cannot be started at all."""
        self.launch = launch
        self.log_start = open_log(launch.log)
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(GUARD), json.dumps(described(launch))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=dict(launch.environment),
            cwd="/",
            start_new_session=True,
            pass_fds=launch.keeps_open,
        )
        self.pid = self._first_answer()

    def poll(self) -> int | None:
        """The program's exit code (128 + n for signal n), or None while it runs."""
        code = self._guard.poll()
        if code is not None:
            self.ask_to_stop()  # nobody reads that pipe any more: let go of it
        return code

    def wait(self, seconds: float) -> int:
        """Wait for the program to end by itself; raises TimeoutError."""
        try:
            return self._guard.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.launch.argv[0]} still runs after {seconds:g} s") from None

    def kill(self, number: signal.Signals) -> None:
        """Send the program a signal; nothing happens when it has ended."""
        if self.poll() is None:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def ask_to_stop(self) -> None:
        """Start the ladder and return at once."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def stop(self) -> int:
        """Stop it along its ladder and return its exit code; bounded by the ladder and a few seconds."""
        self.ask_to_stop()
        try:
            return self.wait(self.launch.stop_seconds_max + 10)
        except TimeoutError:
            self._guard.kill()  # only a program in uninterruptible sleep gets here
            return self._guard.wait()

    def _first_answer(self) -> int:
        answer = self._guard.stdout
        assert answer is not None  # noqa: S101 - asked for above
        with answer:
            ready, _, _ = select.select([answer], [], [], SPAWN_SECONDS_MAX)
            line = answer.readline() if ready else b""
        message = json.loads(line) if line else {"error": "its guard did not answer"}
        if "pid" not in message:
            self.stop()
            raise EmbeddedError(f"{self.launch.argv[0]} could not be started: {message['error']}")
        return int(message["pid"])


def described(launch: Launch) -> dict[str, Any]:
    return {
        "argv": list(launch.argv),
        "cwd": launch.cwd,
        "log": str(launch.log),
        "ladder": [(int(number), seconds) for number, seconds in launch.ladder],
        "identity": dict(launch.identity),
    }


def open_log(log: Path) -> int:
    """Make the log's folder, begin a log that grew too long anew, and return where new lines will start."""
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    log.touch(mode=0o600)
    if log.stat().st_size > LOG_BYTES_MAX:
        os.truncate(log, 0)
    return log.stat().st_size


def run_to_end(launch: Launch, seconds: float) -> int:
    """Run a short program under a guard and return its exit code."""
    process = GuardedProcess(launch)
    try:
        return process.wait(seconds)
    finally:
        process.stop()


def wait_until(condition: Callable[[], bool], seconds: float, pause: float = 0.02) -> bool:
    """Poll until `condition()` is true; False when the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
    return True
