"""Processes of the product and of what it is compared with, each started for a benchmark and stopped after it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg

from ops.embedded.ports import free_port
from tests.integration.http.serving import ACME_TOKEN, SANDBOX_SECRET
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
STOP_SECONDS = 30.0
CONFIG = """
[tenants.acme]
api_tokens = ["env:BENCH_TOKEN"]
rate_limit_per_second = 1000000
[tenants.acme.providers.sandbox]
adapter = "sandbox"
webhook_secrets = ["env:BENCH_SECRET"]
"""

Connection = psycopg.Connection[tuple[object, ...]]


def environment(folder: Path, database_url: str, redis_url: str) -> dict[str, str]:
    """What the product's processes are given: one tenant, and a log that goes nowhere but is written."""
    config = folder / "tenants.toml"
    config.write_text(CONFIG)
    return {
        "LEDGERBEAT_HOME": str(folder),
        "LEDGERBEAT_CONFIG": str(config),
        "LEDGERBEAT_DATABASE_URL": database_url,
        "LEDGERBEAT_REDIS_URL": redis_url,
        "LEDGERBEAT_LOG_FORMAT": "json",
        "BENCH_TOKEN": ACME_TOKEN,
        "BENCH_SECRET": SANDBOX_SECRET,
    }


@contextmanager
def process(
    argv: Sequence[str], environ: Mapping[str, str], log: Path
) -> "Iterator[subprocess.Popen[bytes]]":
    """A process in the checkout; terminated at the end."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LEDGERBEAT_")}
    with log.open("ab") as output:
        running = subprocess.Popen(
            argv, cwd=ROOT, env={**inherited, **environ}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@contextmanager
def web(app: str, environ: Mapping[str, str], folder: Path, *, workers: int = 1) -> Iterator[tuple[int, int]]:
    """uvicorn with the app of that factory: its port and process id, once it answers."""
    port = free_port()
    argv = [sys.executable, "-m", "uvicorn", "--factory", app, "--port", str(port), "--no-access-log"]
    argv += ["--http", "worker.http.wire:Wire"] if app.startswith("worker.") else []
    several = ["--workers", str(workers), "--timeout-worker-healthcheck", "60"] if workers > 1 else []
    with process([*argv, *several], environ, folder / "web.log") as server:
        until(lambda: answers(port), within_seconds=60, what=app)
        yield port, server.pid


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=1, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def celery(app: str, *options: str) -> list[str]:
    """A worker of that app."""
    quiet = ["--without-gossip", "--without-mingle", "--loglevel", "WARNING"]
    return [sys.executable, "-m", "celery", "-A", app, "worker", *quiet, *options]


def beat(folder: Path) -> list[str]:
    """The product's Beat."""
    quiet = ["--loglevel", "WARNING", "-s", str(folder / "beat-schedule")]
    return [sys.executable, "-m", "celery", "-A", "worker", "beat", *quiet]


@contextmanager
def connected(database_url: str) -> Iterator[Connection]:
    """As the database's owner, every statement its own transaction."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


def number(connection: Connection, query: str, *values: object) -> int:
    """The one number that a query answers."""
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None
    return int(str(row[0]))


def wait_for(
    connection: Connection,
    query: str,
    wanted: int,
    *,
    within_seconds: float = 120,
    every_seconds: float = 0.01,
) -> float:
    """Ask until the number is there; when that was, by the clock."""
    deadline = time.monotonic() + within_seconds
    while (found := number(connection, query)) < wanted:
        assert time.monotonic() < deadline, f"{found} of {wanted}: {query}"
        time.sleep(every_seconds)
    return time.time()
