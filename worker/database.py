"""Engines and transactions: how this process talks to PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

DIALECT = PGDialect_psycopg()  # type: ignore[no-untyped-call]
"""How SQLAlchemy's URLs and statements are said to psycopg."""

Transaction = Callable[[], AbstractContextManager[Session]]
"""Opens a session in one transaction: commits at the end, rolls back on any exception."""

TRANSIENT_SQLSTATES = {
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "55P03",  # lock_not_available
    "57014",  # query_canceled (statement timeout)
    "57P01",  # admin_shutdown
    "57P02",  # crash_shutdown
    "57P03",  # cannot_connect_now
    "53300",  # too_many_connections
    "25P03",  # idle_in_transaction_session_timeout
    "25006",  # read_only_sql_transaction: a replica during a failover
    "53100",  # disk_full
    "53200",  # out_of_memory
    "58030",  # io_error
}

CHECK_AFTER_SECONDS = 1.0

SESSION_SETTINGS = (
    "-c statement_timeout={statement_ms} -c lock_timeout=5s -c idle_in_transaction_session_timeout=60s"
)

BECOME = """
    SELECT set_config('role', rolname, false) FROM pg_roles
    WHERE rolname = %s AND rolname <> current_user AND pg_has_role(current_user, oid, 'MEMBER')
"""


def make_engine(
    url: str,
    *,
    role: str = "",
    pool_size: int = 5,
    statement_seconds: int = 30,
    prepared_statements: bool = True,
) -> Engine:
    """An engine whose connections are checked before use and, where `role` exists, act as that role.

    One that was used within the last CHECK_AFTER_SECONDS is believed: it may break as well between check and use.

    Build it after a fork, never before. `prepared_statements=False` for a transaction pooler such as PgBouncer.
    """
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=5,
        pool_timeout=5,
        connect_args=_connect_args(statement_seconds, prepared_statements),
    )
    event.listen(engine, "connect", _note_use)
    event.listen(engine, "checkin", _note_use)
    event.listen(engine, "checkout", partial(_check, engine))
    if role:
        event.listen(engine, "connect", lambda connection, _record: _become(connection, role))
    return engine


def connect_args_of(
    url: str, *, statement_seconds: int = 30, prepared_statements: bool = True
) -> dict[str, Any]:
    """The same for `psycopg.connect()` and its like, which become no role and check nothing."""
    _, address = DIALECT.create_connect_args(make_url(url))  # type: ignore[no-untyped-call]
    return {**address, **_connect_args(statement_seconds, prepared_statements)}


def _connect_args(statement_seconds: int, prepared_statements: bool) -> dict[str, Any]:
    connect_args: dict[str, Any] = {
        "connect_timeout": 3,
        "options": SESSION_SETTINGS.format(statement_ms=statement_seconds * 1000),
        "application_name": "ledgerbeat",
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 10,
    }
    if not prepared_statements:
        connect_args["prepare_threshold"] = None
    return connect_args


def _note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _check(engine: Engine, connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """Raises what makes the pool give up its connections and open another."""
    if time.monotonic() - record.info.get("used_at", 0.0) < CHECK_AFTER_SECONDS:
        return
    try:
        engine.dialect.do_ping(connection)
    except psycopg.Error as error:
        raise InvalidatePoolError from error


def _become(connection: Any, role: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(BECOME, (role,))
    connection.commit()


def transactions(engine: Engine) -> Transaction:
    """The `Transaction` of an engine."""

    @contextmanager
    def transaction() -> Iterator[Session]:
        with Session(engine, expire_on_commit=False, autoflush=False) as session, session.begin():
            yield session

    return transaction


def is_transient(error: BaseException) -> bool:
    """True when running the same transaction again may succeed: deadlock, serialization, a lost connection."""
    if not isinstance(error, DBAPIError):
        return False
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        return error.connection_invalidated or isinstance(error, (OperationalError, InterfaceError))
    return sqlstate[:2] == "08" or sqlstate in TRANSIENT_SQLSTATES
