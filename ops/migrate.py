"""Alembic to head, and the configured tenants into the database."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from models.tenants import sync_tenant_roles
from worker.resources import sync_settings
from worker.settings import Settings

ROOT = Path(__file__).parent.parent


def migrate(settings: Settings) -> None:
    """Bring the database to head; safe to run twice, also at once. Needs the owner's login.

    Then every configured tenant and provider account has its row, and exactly the tenant's `database_roles` may use
    the SQL door.
    """
    url = settings.require_database_url()
    config = Config(str(ROOT / "alembic.ini"))
    config.attributes["database_url"] = url
    command.upgrade(config, "head")
    engine = create_engine(url)
    try:
        with Session(engine) as session, session.begin():
            sync_settings(session, settings)
            roles = {name: tenant.database_roles for name, tenant in settings.tenants.items()}
            sync_tenant_roles(session, roles)
    finally:
        engine.dispose()
