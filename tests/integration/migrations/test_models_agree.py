"""Models and migrations describe one database: what Alembic compares, and what it does not."""

from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, create_engine, text

from tests.integration.migrations.schema import metadata

# Everything about a table that PostgreSQL itself can spell, one query per subject: (table, what, definition).
SUBJECTS = {
    "columns": """
        SELECT c.relname, a.attname, concat_ws(' ', format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attnotnull THEN 'NOT NULL' END, nullif(a.attidentity, ''), nullif(a.attgenerated, ''),
            pg_get_expr(d.adbin, d.adrelid))
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
        LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    """,
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid <> 0
    """,
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    """,
}


@pytest.fixture
def migrated(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def created(empty_database_url: str) -> Iterator[Engine]:
    """The database as the models would make it."""
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE FUNCTION time_ordered_uuid() RETURNS uuid RETURN gen_random_uuid()"))
        metadata.create_all(connection)
    yield engine
    engine.dispose()


def described(engine: Engine, subject: str) -> dict[tuple[str, str], str]:
    with engine.connect() as connection:
        rows = connection.execute(text(SUBJECTS[subject].replace(":", r"\:")))
        return {(table, name): definition for table, name, definition in rows if table != "alembic_version"}


# Alembic compares a computed column by its spelling and warns; the columns are compared below.
@pytest.mark.filterwarnings("ignore:Computed default on accounts.owner")
def test_alembic_sees_no_difference(migrated: Engine) -> None:
    options = {"compare_type": True, "compare_server_default": True}
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_the_models_make_is_what_the_migrations_make(
    migrated: Engine, created: Engine, subject: str
) -> None:
    assert described(created, subject) == described(migrated, subject)


@pytest.mark.parametrize("subject", SUBJECTS)
def test_the_comparison_sees_something(migrated: Engine, subject: str) -> None:
    assert len(described(migrated, subject)) > 20


def test_every_table_is_known_to_the_models(migrated: Engine) -> None:
    tables = {table for table, _ in described(migrated, "columns")}
    assert tables == set(metadata.tables)
