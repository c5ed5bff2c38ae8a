"""What a stack costs that has nothing to do, and how long its processes take to start."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from ops.processes import worker_answers
from tests.bench.measuring import cpu_seconds, resident_megabytes
from tests.bench.report import Report
from tests.bench.running import ROOT, beat, celery, environment, process, web
from tests.waiting import until

IDLE_SECONDS = 15
STARTS = 3


def test_idle(database_url: str, redis_url: str, servers: list[int], report: Report, tmp_path: Path) -> None:
    environ = environment(tmp_path, database_url, redis_url)
    with (
        process(celery("worker", "-E"), environ, tmp_path / "worker.log") as worker,
        process(beat(tmp_path), environ, tmp_path / "beat.log") as beating,
        web("worker.http.app:create_app", environ, tmp_path) as (_, shim),
    ):
        time.sleep(5)
        names = {
            "worker": [worker.pid],
            "beat": [beating.pid],
            "shim": [shim],
            "PostgreSQL and Redis": servers,
        }
        before = {name: cpu_seconds(pids) for name, pids in names.items()}
        time.sleep(IDLE_SECONDS)
        for name, pids in names.items():
            share = 100 * (cpu_seconds(pids) - before[name]) / IDLE_SECONDS
            report.figure(
                f"idle {name}: share of one core", share, "%", memory=f"{resident_megabytes(pids):.0f}"
            )


def test_start_up(database_url: str, redis_url: str, report: Report, tmp_path: Path) -> None:
    environ = environment(tmp_path, database_url, redis_url)

    def shim() -> float:
        began = time.monotonic()
        with web("worker.http.app:create_app", environ, tmp_path):
            return time.monotonic() - began

    def worker() -> float:
        began = time.monotonic()
        with process(celery("worker", "-n", "started@%h"), environ, tmp_path / "worker.log"):
            until(lambda: worker_answers(redis_url, "started"), within_seconds=60, what="the worker")
            return time.monotonic() - began

    def command_line() -> float:
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "ops.cli", "--help"], cwd=ROOT, check=True, capture_output=True)
        return time.monotonic() - began

    starts: dict[str, Callable[[], float]] = {
        "shim until it answers": shim,
        "worker until it answers": worker,
        "ledgerbeat --help": command_line,
    }
    for name, start in starts.items():
        report.figure(f"start-up: {name}", statistics.median(start() for _ in range(STARTS)), "s")
