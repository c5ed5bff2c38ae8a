"""The queues that post one message at a time: plain Celery, and huey, taskiq, dramatiq in a venv of their own."""

import subprocess
import sys
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measuring import Done
from tests.bench.running import ROOT, celery, connected, number, process, wait_for

PACKAGES = ("huey", "taskiq", "taskiq-redis", "dramatiq[redis]", "redis", "psycopg[binary]", "setuptools")
INSTALL_SECONDS_MAX = 180
NEWEST = "SELECT coalesce(max(id), 0) FROM ledger_transactions"
POSTED = "SELECT count(*) FROM ledger_transactions WHERE id > {newest}"


@dataclass(frozen=True, slots=True)
class Queue:
    """How one of them runs: `module` in tests.bench.peers, the worker's command, the Python to publish with."""

    module: str
    python: Path
    argv: Sequence[str]


def plain_celery() -> Queue:
    argv = celery("tests.bench.peers.celery_orm", "-c", "4")
    return Queue("celery_orm", Path(sys.executable), argv)


def others(folder: Path) -> list[Queue]:
    """Installed from the package index into `folder`; raises CalledProcessError or TimeoutExpired when it cannot be."""
    venv.create(folder, with_pip=True)
    programs = folder / "bin"
    argv = [
        str(programs / "python"),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *PACKAGES,
    ]
    subprocess.run(argv, check=True, capture_output=True, timeout=INSTALL_SECONDS_MAX)
    commands = {
        "huey_queue": [
            "huey_consumer",
            "tests.bench.peers.huey_queue.queue",
            "-k",
            "process",
            "-w",
            "4",
            "-q",
        ],
        "taskiq_queue": ["taskiq", "worker", "tests.bench.peers.taskiq_queue:broker", "--workers", "2"],
        "dramatiq_queue": [
            "dramatiq",
            "tests.bench.peers.dramatiq_queue",
            "--processes",
            "2",
            "--threads",
            "4",
        ],
    }
    return [
        Queue(module, programs / "python", [str(programs / name), *options])
        for module, (name, *options) in commands.items()
    ]


@contextmanager
def working(
    queue: Queue, environ: Mapping[str, str], folder: Path
) -> Iterator[tuple[Callable[[int], Done], int]]:
    """Its worker, warmed up: what publishes so many messages and waits for the postings, and its process id."""
    paths = {**environ, "PYTHONPATH": str(ROOT)}
    with (
        process(queue.argv, paths, folder / f"{queue.module}.log") as worker,
        connected(environ["LEDGERBEAT_DATABASE_URL"]) as connection,
    ):

        def post(how_many: int) -> Done:
            posted = POSTED.format(newest=number(connection, NEWEST))
            argv = [str(queue.python), "-m", "tests.bench.peers.publish", queue.module, str(how_many)]
            with subprocess.Popen(argv, cwd=ROOT, env=paths, stdout=subprocess.PIPE, text=True) as publisher:
                ended_at = wait_for(connection, posted, how_many)
                said, _ = publisher.communicate()
            return Done(how_many, ended_at - float(said.split()[-1]))

        post(20)
        yield post, worker.pid
