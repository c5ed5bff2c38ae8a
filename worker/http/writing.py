"""The batcher's writer: one transaction on PostgreSQL, in the event loop, with the configured tenants made known first.

Spoken with psycopg alone: between the event loop and the database there is one task and no thread, and a session's
bookkeeping would cost as much as everything else here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import AsyncConnection
from sqlalchemy import TextClause

from models.errors import UnknownTenant
from models.jobs.accept import Rejected
from models.steps import Result, Steps
from worker.database import BECOME, DIALECT
from worker.http.batching import Unreachable
from worker.http.recording import Recorded, Submission, recording

LOCK_TIMEOUT = "1s"
"""How long one key that an app's open transaction holds may keep the requests beside it waiting."""

LOCKS = "SELECT set_config('lock_timeout', %s, false)"

Connection = AsyncConnection[tuple[Any, ...]]
Connect = Callable[[], Awaitable[Connection]]
"""A new connection, which commits only when it is told to. Raises psycopg.OperationalError."""


def connector(connect_args: Mapping[str, Any], role: str = "") -> Connect:
    """Connects, acts as `role` where it exists, and waits briefly for locks."""

    async def connect() -> Connection:
        connection = await AsyncConnection.connect(**connect_args, autocommit=True)
        try:
            await connection.execute(LOCKS, (LOCK_TIMEOUT,))
            if role:
                await connection.execute(BECOME, (role,))
        except BaseException:
            await connection.close()
            raise
        return connection

    return connect


class DatabaseWriter:
    """Writes submissions. `introduce` makes the configuration's tenants known, as soon as the database lets it.

    It may block, and raises Unreachable or SQLAlchemyError.
    """

    def __init__(self, connect: Connect, introduce: Callable[[], None]) -> None:
        self._connect = connect
        self._introduce = introduce
        self._introduced = False
        self._free: list[Connection] = []

    async def __call__(self, submissions: Sequence[Submission], now: datetime) -> list[Recorded]:
        """One transaction, committed. Raises Unreachable without a connection, psycopg.Error without a commit."""
        if not self._introduced:
            await asyncio.to_thread(self._introduce)
            self._introduced = True
        connection = await self._begin()
        try:
            recorded = await _carried(connection, recording(submissions, now=now))
            await connection.execute("COMMIT")
        except BaseException:
            await _give_up(connection)
            raise
        self._free.append(connection)
        self._introduced = not any(map(_tenant_is_missing, recorded))
        return recorded

    def introduced(self) -> None:
        """The tenants have been made known by someone else."""
        self._introduced = True

    async def close(self) -> None:
        """Give back the connections."""
        while self._free:
            await self._free.pop().close()

    async def _begin(self) -> Connection:
        """A connection in a transaction. One that has died since it was used is noticed here, and replaced."""
        while self._free:
            connection = self._free.pop()
            try:
                await connection.execute("BEGIN")
            except psycopg.OperationalError:
                await _give_up(connection)
            except BaseException:
                await _give_up(connection)
                raise
            else:
                return connection
        try:
            connection = await self._connect()
        except psycopg.Error as error:
            raise Unreachable(type(error).__name__) from None
        try:
            await connection.execute("BEGIN")
        except psycopg.Error as error:
            await _give_up(connection)
            raise Unreachable(type(error).__name__) from None
        except BaseException:
            await _give_up(connection)
            raise
        return connection


async def _carried(connection: Connection, steps: Steps[Result]) -> Result:
    """The result of the steps, in the transaction that is open."""
    rows: Sequence[Any] | None = None
    try:
        while True:
            query = next(steps) if rows is None else steps.send(rows)
            cursor = await connection.execute(_spelt(query.statement), query.values)
            rows = await cursor.fetchall()
    except StopIteration as end:
        found: Result = end.value
        return found


@lru_cache
def _spelt(statement: TextClause) -> bytes:
    """The statement with its values named as psycopg has them."""
    return str(statement.compile(dialect=DIALECT)).encode()


async def _give_up(connection: Connection) -> None:
    """A transaction that went wrong takes its connection with it: nothing of either is left."""
    with suppress(psycopg.Error):
        await connection.close()


def _tenant_is_missing(recorded: Recorded) -> bool:
    return any(isinstance(a, Rejected) and isinstance(a.error, UnknownTenant) for a in recorded.answers)
