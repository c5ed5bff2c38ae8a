"""Connections of the pool: those that rested are checked, those just used are believed, and none stays broken."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from worker import database
from worker.database import is_transient, make_engine

PID = text("SELECT pg_backend_pid()")
END = text("SELECT pg_terminate_backend(:pid, 5000)")


@pytest.fixture
def pooled(database_url: str) -> Iterator[Engine]:
    engine = make_engine(database_url, pool_size=1)
    yield engine
    engine.dispose()


@pytest.fixture
def pings(pooled: Engine, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    seen: list[Any] = []
    ping = pooled.dialect.do_ping

    def watched(connection: Any) -> bool:
        seen.append(connection)
        return ping(connection)

    monkeypatch.setattr(pooled.dialect, "do_ping", watched)
    return seen


def use(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(PID).scalar_one())


def kill(database_url: str, pid: int) -> None:
    owner = make_engine(database_url)
    with owner.connect() as connection:
        connection.execute(END, {"pid": pid})
    owner.dispose()


def test_what_was_used_a_moment_ago_is_not_asked(
    pooled: Engine, pings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECK_AFTER_SECONDS", 3600.0)
    assert use(pooled) == use(pooled)
    assert pings == []


def test_what_rested_and_broke_is_replaced(
    pooled: Engine, database_url: str, pings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECK_AFTER_SECONDS", 0.0)
    first = use(pooled)
    kill(database_url, first)
    assert use(pooled) != first
    assert pings


def test_what_broke_within_the_second_fails_once_and_may_be_tried_again(
    pooled: Engine, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CHECK_AFTER_SECONDS", 3600.0)
    first = use(pooled)
    kill(database_url, first)
    with pytest.raises(OperationalError) as raised:
        use(pooled)
    assert is_transient(raised.value)
    assert use(pooled) != first
