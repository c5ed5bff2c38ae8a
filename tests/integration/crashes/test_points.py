"""The dead of these tests are dead for PostgreSQL, too, before the living go on: one whose server is slow to notice."""

from contextlib import suppress

from psycopg.pq.abc import PGconn
from sqlalchemy import Connection, Engine, text

from tests.integration.crashes.points import Died, Point, Trail, bury_the_dead, statements
from worker.database import Transaction

LOCK = text("SELECT pg_try_advisory_xact_lock(7)")
BUSY = b"SELECT pg_sleep(1)"
"""Until it has done this, a server does not look whether its client is there."""


def server(connection: Connection) -> PGconn:
    driver = connection.connection.dbapi_connection
    assert driver is not None
    return driver.pgconn  # type: ignore[no-any-return]


def test_what_an_exit_interrupts_holds_nothing_any_more(engine: Engine, transaction: Transaction) -> None:
    def die() -> None:
        server(connection).send_query(BUSY)
        raise Died

    trail = Trail(Point("after SELECT 1", 1), die)
    with suppress(Died), statements(engine, trail.reach), engine.begin() as connection:
        assert connection.scalar(LOCK)
        connection.execute(text("SELECT 1"))
    with transaction() as session:
        assert session.scalar(LOCK)


def test_what_was_killed_holds_nothing_any_more(engine: Engine, transaction: Transaction) -> None:
    killed = engine.connect()
    assert killed.scalar(LOCK)
    server(killed).send_query(BUSY)
    server(killed).finish()
    bury_the_dead(transaction)
    with transaction() as session:
        assert session.scalar(LOCK)
    killed.invalidate()
    killed.close()
