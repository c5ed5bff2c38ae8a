"""A sound installation; each test breaks one thing."""

from pathlib import Path

import pytest

from tests.integration.doctor.patient import CONFIG, SECRET, TOKEN, Environment


@pytest.fixture
def environment(database_url: str, redis_url: str, tmp_path: Path, tenant: str) -> Environment:
    """All that the doctor needs, and nothing wrong with it."""
    (tmp_path / "ledgerbeat.toml").write_text(CONFIG)
    return {
        "LEDGERBEAT_DATABASE_URL": database_url,
        "LEDGERBEAT_REDIS_URL": redis_url,
        "LEDGERBEAT_CONFIG": str(tmp_path / "ledgerbeat.toml"),
        "LEDGERBEAT_HOME": str(tmp_path),
        "ACME_TOKEN": TOKEN,
        "ACME_SECRET": SECRET,
    }
