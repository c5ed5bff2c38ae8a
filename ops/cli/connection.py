"""Which database a command speaks to: the settings', else the embedded one that `ledgerbeat up` is running."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.orm import Session

from ops.running import running_settings
from worker.database import make_engine, transactions


@contextmanager
def session() -> Iterator[Session]:
    """A session in one transaction, as the worker's role."""
    settings = running_settings()
    engine = make_engine(settings.require_database_url(), role=settings.database_role, pool_size=1)
    try:
        with transactions(engine)() as opened:
            yield opened
    finally:
        engine.dispose()
