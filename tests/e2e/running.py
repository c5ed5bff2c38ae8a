"""A running Ledgerbeat of the tests' own: tenants, processes, commands, and nothing of it left at the end."""

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from ops.bootstrap import ROOT
from ops.development import SECRETS
from ops.embedded.ports import free_port
from ops.embedded.process import wait_until
from ops.stack import Stack
from tests.e2e.app import App
from worker.database import Transaction, make_engine, transactions

TENANTS = tuple(f"shop-{number:02}" for number in range(1, 61))
"""The first has the account at the sandbox provider."""

NOTHING_SET = {
    f"LEDGERBEAT_{name}": ""
    for setting in ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "CONFIG", "METRICS_PORT", "LOG_FORMAT")
    for name in (setting, f"{setting}_FILE")
}
TENANT = """
[tenants.{name}]
api_tokens = ["file:{name}/api-token"]
rate_limit_per_second = 1000000
[tenants.{name}.providers.sandbox]
adapter = "sandbox"
api_key = "file:{name}/sandbox-api-key"
webhook_secrets = ["file:{name}/sandbox-webhook-secret"]
{address}
[tenants.{name}.providers.stripe]
adapter = "stripe"
webhook_secrets = ["file:{name}/stripe-webhook-secret"]
[tenants.{name}.providers.adyen]
adapter = "adyen"
webhook_secrets = ["file:{name}/adyen-webhook-secret"]
"""
ENDED_SECONDS = 60.0


@dataclass
class Running:
    """One running stack. `said` is what its supervisor told, line by line."""

    stack: Stack
    transaction: Transaction
    said: list[str]
    _unused: list[str] = field(default_factory=lambda: list(TENANTS[1:]))

    def app(self, tenant: str | None = None) -> App:
        """A tenant that no other test uses, or the one of that name."""
        return App(self.stack, self.transaction, tenant or self._unused.pop(0))

    def cli(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """`ledgerbeat <arguments>`, in a process of its own."""
        return ledgerbeat(*arguments, environment={**self.stack.environment, **environment})

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """As the database's owner, for what an app or an operator does in SQL."""
        url = make_url(self.stack.settings.require_database_url()).set(drivername="postgresql")
        return psycopg.connect(url.render_as_string(hide_password=False))

    def log(self, name: str) -> str:
        """What a process printed."""
        return (self.stack.home / "logs" / f"{name}.log").read_text(errors="replace")


@contextmanager
def running(environment: Mapping[str, str], **options: object) -> Iterator[Running]:
    """Start a stack with TENANTS in a home of its own. Fails when anything of it is left afterwards."""
    with new_home() as home, started(home, environment, **options) as found:
        yield found


@contextmanager
def started(home: Path, environment: Mapping[str, str], **options: object) -> Iterator[Running]:
    """Start a stack with TENANTS in `home`, which stays. Fails when one of its processes is left afterwards."""
    said: list[str] = []
    given = {**NOTHING_SET, "LEDGERBEAT_CONFIG": str(write_config(home)), **environment}
    ports = {"http_port": 0, "flower_port": 0, "sandbox_port": 0}
    stack = Stack(home, environment=given, say=said.append, **{**ports, **options})  # type: ignore[arg-type]
    with stack:
        engine = make_engine(stack.settings.require_database_url(), role="ledgerbeat_worker")
        try:
            yield Running(stack, transactions(engine), said)
        finally:
            engine.dispose()
            pids = [pid for pid in stack.pids().values() if pid is not None]
    assert wait_until(lambda: not alive(pids), ENDED_SECONDS), alive(pids)


@contextmanager
def new_home() -> Iterator[Path]:
    """A folder that PostgreSQL may pass through, removed at the end. No process may know it any more then."""
    home = Path(tempfile.mkdtemp(prefix="ledgerbeat-e2e-"))
    home.chmod(0o711)
    try:
        yield home
    finally:
        ended = wait_until(lambda: not processes_of(home), ENDED_SECONDS)
        left = processes_of(home)
        shutil.rmtree(home, ignore_errors=True)
    assert ended, left


def write_config(home: Path) -> Path:
    """TENANTS with secrets of their own, each in a file."""
    tables = []
    for number, name in enumerate(TENANTS):
        for secret, made in SECRETS.items():
            file = home / name / secret
            file.parent.mkdir(mode=0o700, exist_ok=True)
            file.write_text(made())
        address = f'base_url = "http://127.0.0.1:{free_port()}"' if number == 0 else ""
        tables.append(TENANT.format(name=name, address=address))
    config = home / "tenants.toml"
    config.write_text("".join(tables))
    return config


def ledgerbeat(*arguments: str, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """The command line in a process of its own, run to its end."""
    return subprocess.run(
        [sys.executable, "-m", "ops.cli", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def alive(pids: list[int]) -> list[int]:
    """Those that still run; the dead whom nobody has buried do not."""
    return [pid for pid in pids if _said_of(pid, "cmdline")]


def processes_of(home: Path) -> dict[int, str]:
    """The processes that have this folder in their command line or environment."""
    known = str(home).encode()
    numbers = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return {
        pid: _said_of(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")
        for pid in numbers
        if known in _said_of(pid, "cmdline") or known in _said_of(pid, "environ")
    }


def _said_of(pid: int, file: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / file).read_bytes()
    except OSError:
        return b""


def new_secret() -> str:
    """Something that stands nowhere else."""
    return secrets.token_hex(12)
