"""A running stack that pays out: its account at the sandbox has short times, so that no test waits for minutes."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.running import TENANTS, Running, started, write_config

PROCESSES: dict[str, Any] = {"names": ("sandbox", "worker", "payouts", "beat", "shim"), "payouts": 2}
TENANT = TENANTS[0]
ACCOUNT = "timeout_seconds = 2\nsettle_seconds = 1\nmax_in_flight = 32\n"


@contextmanager
def paying(home: Path) -> Iterator[Running]:
    """Two workers for payouts, so that one may die."""
    config = home / "payday.toml"
    config.write_text(write_config(home).read_text().replace('base_url = "', f'{ACCOUNT}base_url = "'))
    with started(home, {"LEDGERBEAT_CONFIG": str(config)}, **PROCESSES) as running:
        yield running


@contextmanager
def sandbox_of(running: Running) -> Iterator[httpx.Client]:
    """The provider, as its owner sees it."""
    account = running.stack.sandbox
    assert account is not None
    headers = {"Authorization": f"Bearer {account.api_key}"}
    url = running.stack.sandbox_url
    with httpx.Client(base_url=url, headers=headers, timeout=40, trust_env=False) as client:
        yield client
