"""Where a process may die: found by watching what it does, so that no new step can be forgotten.

A point is reached before and after each SQL statement, each commit, each command to Redis and each acknowledgement.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import redis
from psycopg import AsyncConnection
from redis.client import Pipeline
from sqlalchemy import Engine, event, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from tests.waiting import until
from worker.database import Transaction, transactions

Reach = Callable[[str], None]
"""Called at each point with its label; may end the process, or raise in its place."""

LABEL_LENGTH = 60
HOLDERS = text("""
    SELECT DISTINCT l.virtualtransaction FROM pg_locks l JOIN pg_database d ON d.oid = l.database
    WHERE d.datname = current_database() AND l.pid <> pg_backend_pid()
""")


class Point(NamedTuple):
    """The `nth` time (from 1) that the place `label` is reached."""

    label: str
    nth: int


class Died(BaseException):
    """Stands for the death of the process: nothing that handles errors may catch it."""


class Trail:
    """Every point that is reached while `armed`, in order; calls `die` at the chosen one."""

    def __init__(self, chosen: Point | None = None, die: Callable[[], None] = lambda: None) -> None:
        self.points: list[Point] = []
        self.armed = True
        self._chosen = chosen
        self._die = die
        self._times: Counter[str] = Counter()

    def reach(self, label: str) -> None:
        if not self.armed:
            return
        self._times[label] += 1
        point = Point(label, self._times[label])
        self.points.append(point)
        if point == self._chosen:
            self._die()


@contextmanager
def statements(engine: Engine | type[Engine], reach: Reach) -> Iterator[None]:
    """Points around each statement and each commit of this engine, or of all engines and of what needs none.

    Where Died was raised inside, nothing is locked by the dead any more when this ends.
    """
    dead = False

    def died(*_: Any) -> None:
        nonlocal dead
        dead = True

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        reach(f"before {named(statement)}")

    def after(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        reach(f"after {named(statement)}")

    dialect: Any = engine.dialect if isinstance(engine, Engine) else PGDialect_psycopg
    commit = dialect.do_commit
    dialect.do_commit = around(commit, "COMMIT", reach)
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    event.listen(engine, "invalidate", died)
    execute = AsyncConnection.execute
    AsyncConnection.execute = awaited_around(execute, reach)  # type: ignore[method-assign]
    try:
        yield
    finally:
        AsyncConnection.execute = execute  # type: ignore[method-assign]
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "after_cursor_execute", after)
        event.remove(engine, "invalidate", died)
        dialect.do_commit = commit
        if dead and isinstance(engine, Engine):
            bury_the_dead(transactions(engine))


def bury_the_dead(transaction: Transaction) -> None:
    """Wait until every transaction that holds a lock in this database now has ended: of processes that were killed,
    and of connections that SQLAlchemy closed because Died came through them. PostgreSQL sees that they are gone a
    moment later, and until then a lane, or a row, seems to be at work.
    """
    holders = holding(transaction)
    until(lambda: not holders & holding(transaction), what="the end of the dead's transactions")


def holding(transaction: Transaction) -> set[str]:
    """The transactions that hold a lock, this one apart; each look is a transaction, so two may wait at once."""
    with transaction() as session:
        return set(session.scalars(HOLDERS))


@contextmanager
def redis_commands(reach: Reach) -> Iterator[None]:
    """Points around each command to Redis: the nudges' keys, and the messages that Celery sends."""
    one, many = redis.Redis.execute_command, Pipeline.execute

    def named_command(client: Any, *args: Any, **options: Any) -> Any:
        return around(one, f"redis {args[0]}", reach)(client, *args, **options)

    redis.Redis.execute_command = named_command  # type: ignore[method-assign, assignment]
    Pipeline.execute = around(many, "redis pipeline", reach)  # type: ignore[method-assign]
    try:
        yield
    finally:
        redis.Redis.execute_command = one  # type: ignore[method-assign]
        Pipeline.execute = many  # type: ignore[method-assign]


def around(call: Callable[..., Any], label: str, reach: Reach) -> Callable[..., Any]:
    """`call` with a point before it and one after it."""

    def watched(*args: Any, **options: Any) -> Any:
        reach(f"before {label}")
        answer = call(*args, **options)
        reach(f"after {label}")
        return answer

    return watched


def awaited_around(execute: Callable[..., Any], reach: Reach) -> Callable[..., Any]:
    """The same for the statements that the event loop's connections are given."""

    async def watched(connection: Any, statement: str | bytes, *args: Any, **options: Any) -> Any:
        label = named(statement if isinstance(statement, str) else statement.decode())
        reach(f"before {label}")
        answer = await execute(connection, statement, *args, **options)
        reach(f"after {label}")
        return answer

    return watched


def named(statement: str) -> str:
    """A statement by its beginning: enough to find it by."""
    return " ".join(statement.split())[:LABEL_LENGTH]
