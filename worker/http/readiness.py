"""Is this process ready? The database must answer and be migrated; the broker's state is told and decides nothing."""

import asyncio
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from worker.http.probing import Probe

FRESH_SECONDS = 1.0
WAIT_SECONDS_MAX = 2.5
BROKER_SECONDS_MAX = 0.5
MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
REVISION = text("SELECT version_num FROM alembic_version")
DEFAULT_PORTS = {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "pyamqp": 5672}
UNDEFINED_TABLE = "42P01"

DatabaseState = Literal["ok", "unreachable", "not_migrated"]
BrokerState = Literal["ok", "unreachable", "unknown"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of /readyz."""

    database: DatabaseState
    broker: BrokerState

    @property
    def ready(self) -> bool:
        return self.database == "ok"


class ReadinessCheck:
    """Asks both, each at most one at a time and within WAIT_SECONDS_MAX."""

    def __init__(self, engine: Engine, broker_url: str | None) -> None:
        older = older_revisions()
        self._database: Probe[DatabaseState] = Probe(
            lambda: _database_state(engine, older), fresh_seconds=FRESH_SECONDS
        )
        self._broker: Probe[BrokerState] = Probe(
            lambda: _broker_state(broker_url), fresh_seconds=FRESH_SECONDS
        )

    async def look(self) -> Readiness:
        return Readiness(*await asyncio.gather(self._ask_database(), self._ask_broker()))

    async def _ask_database(self) -> DatabaseState:
        try:
            return await self._database.aget(WAIT_SECONDS_MAX)
        except (SQLAlchemyError, TimeoutError):
            return "unreachable"

    async def _ask_broker(self) -> BrokerState:
        try:
            return await self._broker.aget(WAIT_SECONDS_MAX)
        except (OSError, ValueError, TimeoutError):
            return "unreachable"


def older_revisions() -> frozenset[str]:
    """Revisions that this code is too new for. One that it does not know is newer: migrations go first."""
    script = ScriptDirectory(str(MIGRATIONS))
    return frozenset(found.revision for found in script.walk_revisions()) - set(script.get_heads())


def _database_state(engine: Engine, older: frozenset[str]) -> DatabaseState:
    with engine.connect() as connection:
        try:
            found = connection.execute(REVISION).scalar_one_or_none()
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != UNDEFINED_TABLE:
                raise
            return "not_migrated"
    return "not_migrated" if found is None or found in older else "ok"


def _broker_state(url: str | None) -> BrokerState:
    """Does it take a connection and, where it is a plain Redis, answer? Any answer will do, a refusal too."""
    parts = urlsplit(url or "")
    if not parts.hostname or parts.scheme not in DEFAULT_PORTS:
        return "unknown"
    address = (parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme])
    with socket.create_connection(address, timeout=BROKER_SECONDS_MAX) as connection:
        if parts.scheme == "redis":
            connection.sendall(b"PING\r\n")
            return "ok" if connection.recv(1) else "unreachable"
    return "ok"
