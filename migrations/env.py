"""Alembic's entry: one advisory lock, short lock waits, one transaction per migration."""

from alembic import context
from sqlalchemy import NullPool, create_engine, text

import models.audit
import models.backfills.tables
import models.deposits
import models.jobs.tables
import models.ledger.tables
import models.limits
import models.notifications
import models.payouts.tables
import models.provider_accounts
import models.reconciliation.tables
import models.schedules
import models.tenants  # noqa: F401 - the imports fill the metadata
from models.base import metadata
from worker.settings import load_settings

LOCK = "SELECT pg_advisory_lock(hashtext('ledgerbeat.migrations'))"
UNLOCK = "SELECT pg_advisory_unlock(hashtext('ledgerbeat.migrations'))"


def database_url() -> str:
    """The URL handed in by a caller (`ledgerbeat migrate`, the tests), else the settings'."""
    return context.config.attributes.get("database_url") or load_settings().require_database_url()


def run_offline() -> None:
    # psycopg's own style of parameters would print every % of a function's body twice
    style = {"paramstyle": "named"}
    context.configure(url=database_url(), target_metadata=metadata, literal_binds=True, dialect_opts=style)
    with context.begin_transaction():
        context.run_migrations()


def run_online() -> None:
    engine = create_engine(database_url(), poolclass=NullPool)  # the connection closes, whatever happens
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '60s'"))
        connection.execute(text(LOCK))
        connection.execute(text("SET lock_timeout = '5s'; SET statement_timeout = '10min'"))
        connection.commit()
        context.configure(connection=connection, target_metadata=metadata, transaction_per_migration=True)
        try:
            with context.begin_transaction():
                context.run_migrations()
        finally:
            connection.rollback()
            connection.execute(text(UNLOCK))
            connection.commit()


if context.is_offline_mode():
    run_offline()
else:
    run_online()
