"""An older system's database for each test, and sources of its rows."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import make_url

from tests.integration.backfills.sources.older import MOVES, QUERY, Legacy, Made
from tests.unit.backfills.sources.legacy import told
from worker.sources.configured import BackfillSettings
from worker.sources.mapping import legacy_mapping
from worker.sources.port import RowKind
from worker.sources.sql import SqlSource


@pytest.fixture
def legacy(empty_database_url: str) -> Iterator[Legacy]:
    """The older system's database, as its owner."""
    url = make_url(empty_database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(MOVES)
        yield connection


@pytest.fixture
def made(legacy: Legacy, empty_database_url: str) -> Made:
    def make(
        query: str = QUERY,
        key: str = "id",
        *,
        kind: RowKind = "postings",
        seconds: int = 30,
        url: str = empty_database_url,
        **mapping: Any,
    ) -> SqlSource:
        configured = BackfillSettings(
            url=SecretStr(url), query=query, key=key, statement_seconds=seconds,
            mapping=legacy_mapping(told(**mapping), kind),
        )  # fmt: skip
        assert configured.mapping is not None
        return SqlSource("wallet", configured, configured.mapping, kind)

    return make
