"""The books of a tenant, its owner's connection, nights at a time of the test's choosing; and a shop of today."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import text

from ops.sandbox.config import SandboxConfig
from tests.integration.reconciliation.books import Books
from tests.integration.reconciliation.desk import Shop, write_config
from tests.integration.reconciliation.generating import Connection
from tests.integration.repair.commands import Run, runner
from tests.integration.sandbox.running import API_KEY, Sandbox, running_sandbox
from worker.database import Transaction

ACCOUNT = text(
    "INSERT INTO provider_accounts (tenant, provider, adapter, enabled) VALUES ('acme', 'sandbox', 'sandbox', true)"
)


@pytest.fixture
def owner(database_url: str, tenant: str) -> Iterator[Connection]:
    """As the database's owner, in autocommit mode; the tenant "acme" exists."""
    with psycopg.connect(database_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.fixture
def books(transaction: Transaction, tenant: str) -> Books:
    """The books of "acme" (Europe/Istanbul) with the sandbox, empty."""
    return Books(transaction)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    config = SandboxConfig(api_key=API_KEY, settle_seconds=None, deposit_fee_basis_points=100)
    with running_sandbox(config) as client:
        yield client


@pytest.fixture
def shop(transaction: Transaction, tenant: str, sandbox: Sandbox) -> Shop:
    """Sold for 50.00 and 7.50, paid out 12.50; everything is known on both sides, and nothing is young."""
    with transaction() as session:
        session.execute(ACCOUNT)
    shop = Shop(transaction, tenant, datetime.now(UTC), sandbox)
    shop.policy(reconcile_grace_seconds=0)
    shop.sells("order-1", 5000)
    shop.sells("order-2", 750)
    shop.hears()
    shop.pays(1250)
    shop.hears()
    return shop


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    database_url: str,
    sandbox: Sandbox,
) -> Run:
    config = write_config(tmp_path, str(sandbox.base_url))
    return runner(monkeypatch, capsys, tmp_path, database_url=database_url, config=str(config))
