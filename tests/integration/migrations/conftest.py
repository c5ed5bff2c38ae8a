"""Alembic on an empty database."""

import pytest
from alembic.config import Config

from tests.conftest import alembic


@pytest.fixture
def config(empty_database_url: str) -> Config:
    return alembic(empty_database_url)
