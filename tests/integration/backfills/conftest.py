"""Whoever runs backfills from the command line."""

from pathlib import Path

import pytest

from tests.integration.backfills.generated import Desks, desks_of
from tests.integration.backfills.office import Office, write_config
from tests.integration.backfills.runs import Desk
from tests.integration.repair.commands import runner
from worker.database import Transaction


@pytest.fixture
def office(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    database_url: str,
    transaction: Transaction,
    tenant: str,
) -> Office:
    run = runner(monkeypatch, capsys, tmp_path, database_url=database_url, config=str(write_config(tmp_path)))
    return Office(run, transaction, tmp_path)


@pytest.fixture
def desk(transaction: Transaction, tenant: str, tmp_path: Path) -> Desk:
    """Runs in this process, over files of an older wallet."""
    return Desk(transaction, tmp_path, tenant=tenant)


@pytest.fixture
def desks(transaction: Transaction) -> Desks:
    """Desks with empty ledgers, one after another."""
    return desks_of(transaction)
