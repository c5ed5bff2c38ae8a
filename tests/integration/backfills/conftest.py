"""Whoever runs backfills from the command line."""

from pathlib import Path

import pytest

from tests.integration.backfills.office import Office, write_config
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
    run = runner(
        monkeypatch, capsys, tmp_path, database_url=database_url, config=str(write_config(tmp_path))
    )
    return Office(run, transaction, tmp_path)
