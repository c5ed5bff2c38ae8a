"""Roles belong to the cluster: two databases may be migrated at the very same moment."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, text

from tests.conftest import migrate
from tests.waiting import until

MIGRATION = Path(__file__).resolve().parents[3] / "migrations" / "versions" / "0006_roles.py"


@pytest.fixture
def prefix(one: Engine, other: Engine) -> Iterator[str]:
    """A prefix for roles of this test's own, so that nobody has made them yet."""
    prefix = f"beat_{uuid4().hex[:12]}"
    yield prefix
    for engine in (one, other):
        with engine.begin() as connection:
            for role in roles(connection.engine, prefix):
                connection.execute(text(f"DROP OWNED BY {role}"))
    with one.begin() as connection:
        for role in roles(one, prefix):
            connection.execute(text(f"DROP ROLE {role}"))


@pytest.fixture
def one(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def other(empty_database_url: str, one: Engine) -> Iterator[Engine]:
    """Another database of the same cluster, migrated up to the roles."""
    migrate(empty_database_url)
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def roles(engine: Engine, prefix: str) -> list[str]:
    with engine.connect() as connection:
        found = connection.execute(
            text("SELECT rolname FROM pg_roles WHERE rolname LIKE :prefix ORDER BY 1"),
            {"prefix": f"{prefix}%"},
        )
        return [str(name) for name in found.scalars()]


def upgrade(prefix: str) -> str:
    """What the migration executes, for roles with this prefix."""
    spec = spec_from_file_location("roles_migration", MIGRATION)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.UP).replace("ledgerbeat_", f"{prefix}_").replace(":", r"\:")


@pytest.mark.parametrize("first_commits", [True, False])
def test_of_two_that_make_the_roles_at_once_both_succeed(
    one: Engine, other: Engine, prefix: str, first_commits: bool
) -> None:
    with ThreadPoolExecutor(1) as pool:
        with one.connect() as first:
            first.execute(text(upgrade(prefix)))
            second = pool.submit(run, other, upgrade(prefix))
            until(lambda: second.done() or waits(one, other), what="a second migration that waits")
            assert not second.done()
            if first_commits:
                first.commit()
        second.result(120)
    assert roles(other, prefix) == [f"{prefix}_enqueue", f"{prefix}_worker"]


def run(engine: Engine, statements: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statements))


def waits(one: Engine, other: Engine) -> bool:
    query = text("""
        SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
        WHERE NOT l.granted AND a.datname = :database
    """)
    with one.connect() as connection:
        return bool(connection.execute(query, {"database": other.url.database}).scalar_one())


def test_roles_that_are_there_already_are_left_alone(one: Engine, other: Engine, prefix: str) -> None:
    run(one, upgrade(prefix))
    with one.begin() as connection:
        connection.execute(text(f"ALTER ROLE {prefix}_worker CONNECTION LIMIT 7"))
    run(other, upgrade(prefix))
    with one.connect() as connection:
        limit = connection.execute(
            text("SELECT rolconnlimit FROM pg_roles WHERE rolname = :name"), {"name": f"{prefix}_worker"}
        ).scalar_one()
    assert limit == 7


def test_neither_role_may_log_in_or_do_more(one: Engine) -> None:
    with one.connect() as connection:
        found = connection.execute(
            text("""
                SELECT rolname, rolcanlogin OR rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls
                FROM pg_roles WHERE rolname IN ('ledgerbeat_worker', 'ledgerbeat_enqueue') ORDER BY 1
            """)
        ).all()
    assert [tuple(row) for row in found] == [("ledgerbeat_enqueue", False), ("ledgerbeat_worker", False)]
