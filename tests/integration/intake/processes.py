"""Real `celery -A worker ...` processes for the tests, stopped with the test."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import until

STOP_SECONDS = 120


@dataclass(frozen=True, slots=True)
class CeleryProcess:
    """One running Celery command, and the file that holds what it printed."""

    process: subprocess.Popen[bytes]
    output: Path

    def printed(self) -> str:
        return self.output.read_text()

    def kill(self) -> None:
        """As the OOM killer would."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self) -> int:
        """As a supervisor would; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS)


@contextmanager
def celery(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[CeleryProcess]:
    """Run `celery -A worker <command>` in `folder`, as a user would."""
    number = len(list(folder.glob("celery-*.log")))
    output = folder / f"celery-{number}.log"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            [str(Path(sys.executable).parent / "celery"), "-A", "worker", *command],
            cwd=folder,
            env={**os.environ, "C_FORCE_ROOT": "1", **environment},
            stdout=sink,
            stderr=subprocess.STDOUT,
        )
    try:
        yield CeleryProcess(process, output)
    finally:
        process.kill()
        process.wait(STOP_SECONDS)


@contextmanager
def worker(environment: dict[str, str], folder: Path, *arguments: str) -> Iterator[CeleryProcess]:
    """A worker that is ready for messages."""
    with celery(
        ["worker", "-l", "info", "--without-gossip", "--without-mingle", *arguments], environment, folder
    ) as running:
        until(lambda: "ready." in running.printed(), what="the worker")
        yield running


@contextmanager
def beat(environment: dict[str, str], folder: Path, name: str = "beat") -> Iterator[CeleryProcess]:
    """A Beat with a schedule file of its own."""
    with celery(["beat", "-l", "info", "-s", str(folder / name)], environment, folder) as running:
        until(lambda: "beat: Starting" in running.printed(), what="Beat")
        yield running
