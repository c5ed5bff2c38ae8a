"""Which database a command speaks to: the settings', else the embedded one that `ledgerbeat up` is running."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from ops.running import running_settings
from worker.database import Transaction, make_engine, transactions
from worker.settings import Settings


@contextmanager
def session() -> Iterator[Session]:
    """A session in one transaction, as the worker's role."""
    with transaction_of(running_settings()) as transaction, transaction() as opened:
        yield opened


@contextmanager
def transaction_of(
    settings: Settings, *, statement_seconds: int = 30, pool_size: int = 1
) -> Iterator[Transaction]:
    """For commands of several transactions, so many at a time: each call opens one, as the worker's role."""
    engine = make_engine(
        settings.require_database_url(),
        role=settings.database_role,
        pool_size=pool_size,
        statement_seconds=statement_seconds,
        prepared_statements=settings.prepared_statements,
    )
    try:
        yield transactions(engine)
    finally:
        engine.dispose()
