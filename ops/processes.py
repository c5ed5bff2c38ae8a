"""The processes of a running Ledgerbeat: their commands, their environment and when each is ready."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from ops.development import development_secret
from ops.supervisor import Process
from worker.celery import (
    BACKFILLS_CONCURRENCY,
    BACKFILLS_QUEUE,
    NETWORK_CONCURRENCY,
    NETWORK_QUEUES,
    NIGHTS_CONCURRENCY,
    QUEUES,
    RECONCILIATION_QUEUE,
)
from worker.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
EVERYTHING = ("sandbox", "worker", "payouts", "reconciliation", "backfills", "beat", "shim", "flower")
QUEUES_OF = {
    "payouts": NETWORK_QUEUES,
    "reconciliation": (RECONCILIATION_QUEUE,),
    "backfills": (BACKFILLS_QUEUE,),
}
"""Processes with queues of their own."""
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
FLOWER_USER = "ops"
FLOWER_COLUMNS = "name,kwargs,state,received,runtime,retries,routing_key,worker"
PROBE_SECONDS = 1.0
QUICK_GRACE_SECONDS = 10.0
WORKER_GRACE_SECONDS = 60.0


@dataclass(frozen=True)
class Addresses:
    """Where things listen, all on loopback."""

    http_port: int
    flower_port: int
    sandbox_port: int

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def flower(self) -> str:
        return f"http://127.0.0.1:{self.flower_port}"

    @property
    def sandbox(self) -> str:
        return f"http://127.0.0.1:{self.sandbox_port}"


@dataclass(frozen=True)
class SandboxAccount:
    """The one account that our sandbox provider serves: the first one in the settings with a loopback address."""

    tenant: str
    provider: str
    port: int
    api_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)


def sandbox_account(settings: Settings) -> SandboxAccount | None:
    for tenant in settings.tenants.values():
        for provider in tenant.providers.values():
            address = urlsplit(provider.base_url or "")
            ours = provider.adapter == "sandbox" and address.hostname in LOOPBACK
            if ours and provider.api_key is not None:
                return SandboxAccount(
                    tenant.name,
                    provider.name,
                    address.port or 80,
                    provider.api_key.get_secret_value(),
                    provider.webhook_secrets[0].get_secret_value(),
                )
    return None


def processes(
    names: Sequence[str],
    counts: Mapping[str, int],
    environment: Mapping[str, str],
    addresses: Addresses,
    account: SandboxAccount | None,
    home: Path,
) -> list[Process]:
    """The chosen processes in the order they start; several of one kind are `worker`, `worker-2`, ...

    Where `payouts` runs, it alone waits for other people's servers; where `reconciliation` runs, it alone has the
    nights' long work, and `backfills` what brings history in. The workers take the queues that are left.
    """
    taken = {queue for name in names for queue in QUEUES_OF.get(name, ())}
    left = [queue for queue in QUEUES if queue not in taken] if taken else []
    found = []
    for name in names:
        for number in range(1, counts.get(name, 1) + 1):
            unique = name if number == 1 else f"{name}-{number}"
            found.append(process(name, unique, environment, addresses, account, home, queues=left))
    return found


def process(
    name: str,
    unique: str,
    environment: Mapping[str, str],
    addresses: Addresses,
    account: SandboxAccount | None,
    home: Path,
    *,
    queues: Sequence[str] = (),
) -> Process:
    """One of EVERYTHING, as `unique`. `queues` are those of a worker; none is all of them."""
    match name:
        case "sandbox" if account is not None:
            return sandbox(environment, addresses, account, home)
        case "worker":
            return worker(unique, environment, queues)
        case "payouts":
            return worker(unique, environment, NETWORK_QUEUES, "--concurrency", str(NETWORK_CONCURRENCY))
        case "reconciliation":
            return worker(unique, environment, QUEUES_OF[name], "--concurrency", str(NIGHTS_CONCURRENCY))
        case "backfills":
            return worker(unique, environment, QUEUES_OF[name], "--concurrency", str(BACKFILLS_CONCURRENCY))
        case "beat":
            return celery(unique, environment, "beat", "-s", str(home / f"{unique}-schedule"))
        case "shim":
            return shim(environment, addresses)
        case "flower":
            return flower(environment, addresses, development_secret(home, "flower-password"))
        case _:
            raise ValueError(f"{name!r} is none of {', '.join(EVERYTHING)}")


def celery(name: str, environment: Mapping[str, str], *arguments: str) -> Process:
    argv = [sys.executable, "-m", "celery", "-A", "worker", *arguments]
    return Process(name, argv, environment, ROOT, grace_seconds=QUICK_GRACE_SECONDS)


def worker(name: str, environment: Mapping[str, str], queues: Sequence[str] = (), *more: str) -> Process:
    chosen = ["-Q", ",".join(queues)] if queues else []
    options = [
        *chosen,
        *more,
        "--without-gossip",
        "--without-mingle",
        "--loglevel",
        "INFO",
        "-E",
        "-n",
        f"{name}@%h",
    ]
    argv = [sys.executable, "-m", "celery", "-A", "worker", "worker", *options]
    broker = environment.get(f"{PREFIX}BROKER_URL") or environment[f"{PREFIX}REDIS_URL"]
    return Process(
        name,
        argv,
        environment,
        ROOT,
        ready=lambda: worker_answers(broker, name),
        grace_seconds=WORKER_GRACE_SECONDS,
    )


def worker_answers(broker: str, name: str) -> bool:
    """Does a worker of that name take messages? Asked through the broker, as `celery inspect ping` does."""
    with Celery("probe", broker=broker, set_as_current=False) as app:
        try:
            answers = app.control.ping(timeout=PROBE_SECONDS / 2)
        except (
            OSError,
            OperationalError,
            RedisError,
        ):  # the last: a pooled connection to a Redis restarted since
            return False
    return any(node.startswith(f"{name}@") for answer in answers or [] for node in answer)


def shim(environment: Mapping[str, str], addresses: Addresses) -> Process:
    factory = ["--factory", "worker.http.app:create_app"]
    options = ["--host", "127.0.0.1", "--port", str(addresses.http_port), "--no-access-log"]
    options += ["--http", "worker.http.wire:Wire"]
    return Process(
        "shim",
        [sys.executable, "-m", "uvicorn", *factory, *options],
        environment,
        ROOT,
        ready=lambda: answers(f"{addresses.http}/readyz", {200}),
        grace_seconds=QUICK_GRACE_SECONDS,
    )


def flower(environment: Mapping[str, str], addresses: Addresses, password: str) -> Process:
    """Flower shows names and ids; its password is handed over where `ps` does not show it."""
    options = [f"--port={addresses.flower_port}", "--address=127.0.0.1", "--read-only"]
    argv = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "worker",
        "flower",
        *options,
        f"--tasks_columns={FLOWER_COLUMNS}",
    ]
    return Process(
        "flower",
        argv,
        {**environment, "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{password}"},
        ROOT,
        ready=lambda: answers(f"{addresses.flower}/healthcheck", {200}),
        grace_seconds=QUICK_GRACE_SECONDS,
    )


def sandbox(
    environment: Mapping[str, str], addresses: Addresses, account: SandboxAccount, home: Path
) -> Process:
    secrets = {
        f"{PREFIX}SANDBOX_API_KEY": account.api_key,
        f"{PREFIX}SANDBOX_WEBHOOK_SECRET": account.webhook_secret,
        f"{PREFIX}SANDBOX_WEBHOOK_URL": f"{addresses.http}/v1/webhooks/{account.tenant}/{account.provider}",
    }
    options = ["--port", str(account.port), "--state-file", str(home / "sandbox.json")]
    return Process(
        "sandbox",
        [sys.executable, "-m", "ops.cli", "sandbox", *options],
        {**environment, **secrets},
        ROOT,
        ready=lambda: answers(f"http://127.0.0.1:{account.port}/", None),
        grace_seconds=QUICK_GRACE_SECONDS,
    )


def answers(url: str, statuses: set[int] | None) -> bool:
    """Does it answer over HTTP, with one of these statuses (None: with any)?"""
    try:
        status = httpx.get(url, timeout=PROBE_SECONDS, trust_env=False).status_code
    except httpx.HTTPError:
        return False
    return statuses is None or status in statuses
