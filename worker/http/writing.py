"""The batcher's writer: one transaction on PostgreSQL, with the configured tenants made known first."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session

from models.errors import UnknownTenant
from models.jobs.accept import Rejected
from models.tenants import sync_tenants
from worker.http.batching import Unreachable
from worker.http.recording import Recorded, Submission, record

LOCK_TIMEOUT = "1s"
"""How long one key that an app's open transaction holds may keep the requests beside it waiting."""


class DatabaseWriter:
    """Writes submissions. The configuration's tenants are made known first, as soon as the database lets us."""

    def __init__(self, engine: Engine, timezones: Mapping[str, str]) -> None:
        self._engine = engine
        event.listen(engine, "connect", _wait_briefly_for_locks)
        self._timezones = timezones
        self._synced = False

    def __call__(self, submissions: Sequence[Submission], now: datetime) -> list[Recorded]:
        """One transaction, committed. Raises Unreachable without a connection, SQLAlchemyError without a commit."""
        if not self._synced:
            self.sync()
        with self._transaction() as session:
            recorded = record(session, submissions, now=now)
        self._synced = not any(map(_tenant_is_missing, recorded))
        return recorded

    def sync(self) -> None:
        """Make the tenants known now. Raises Unreachable, SQLAlchemyError (not migrated, for one)."""
        with self._transaction() as session:
            sync_tenants(session, self._timezones)
        self._synced = True

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        """Taking the connection checks it: only there does a failure mean that the database is unreachable."""
        try:
            connection = self._engine.connect()
        except (DBAPIError, PoolTimeoutError) as error:
            raise Unreachable(type(error).__name__) from None
        with (
            connection,
            Session(connection, expire_on_commit=False, autoflush=False) as session,
            session.begin(),
        ):
            yield session


def _wait_briefly_for_locks(connection: Any, _record: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", (LOCK_TIMEOUT,))
    connection.commit()


def _tenant_is_missing(recorded: Recorded) -> bool:
    return any(isinstance(a, Rejected) and isinstance(a.error, UnknownTenant) for a in recorded.answers)
