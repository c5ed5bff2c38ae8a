"""Migrations: from nothing to head and back, by two at once, from the command line, and never waiting for long."""

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from tests.conftest import ROOT, migrate
from tests.waiting import until

LEFT_OVER = text("""
    SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname NOT LIKE 'alembic%'
    UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT grantee::text FROM information_schema.usage_privileges
        WHERE object_schema = 'public' AND grantee LIKE 'ledgerbeat%'
""")
FINGERPRINT = text("""
    SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
        SELECT format('%s %s %s %s', c.relname, a.attname, a.atttypid, a.attnotnull)
            FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT relname || relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
    ) AS lines (line)
""")


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Engine]:
    engine = create_engine(empty_database_url)
    yield engine
    engine.dispose()


def head() -> str:
    script = ScriptDirectory.from_config(Config(ROOT / "alembic.ini"))
    return str(script.get_current_head())


def version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        return found


def test_from_nothing_to_head_to_nothing_to_the_same_head(config: Config, empty: Engine) -> None:
    command.upgrade(config, "head")
    with empty.connect() as connection:
        first = connection.execute(FINGERPRINT).scalar_one()
    assert version(empty) == head()
    command.downgrade(config, "base")
    with empty.connect() as connection:
        assert connection.execute(LEFT_OVER).scalars().all() == []
    assert version(empty) is None
    command.upgrade(config, "head")
    with empty.connect() as connection:
        assert connection.execute(FINGERPRINT).scalar_one() == first


def test_each_migration_goes_up_and_down_and_up_alone(config: Config, empty: Engine) -> None:
    for script in reversed(list(ScriptDirectory.from_config(config).walk_revisions())):
        command.upgrade(config, script.revision)
        command.downgrade(config, "-1")
        command.upgrade(config, script.revision)
    assert version(empty) == head()


def test_migrations_are_one_line_of_numbers() -> None:
    scripts = list(ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).walk_revisions())
    revisions = [script.revision for script in reversed(scripts)]
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert all(Path(script.path).name.startswith(f"{script.revision}_") for script in scripts)


def test_migrating_what_is_migrated_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    engine = create_engine(database_url)
    assert version(engine) == head()
    engine.dispose()


def test_many_that_migrate_one_empty_database_at_once_all_succeed(
    empty_database_url: str, empty: Engine
) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "alembic", "upgrade", "head"],
            cwd=ROOT,
            env=os.environ | {"LEDGERBEAT_DATABASE_URL": empty_database_url},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for _ in range(3)
    ]
    told = [process.communicate(timeout=300)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], told
    assert version(empty) == head()


def test_the_second_waits_until_the_first_is_done(empty_database_url: str, empty: Engine) -> None:
    with empty.connect() as first, ThreadPoolExecutor(1) as pool:
        first.execute(text("SELECT pg_advisory_xact_lock(hashtext('ledgerbeat.migrations'))"))
        second = pool.submit(migrate_in_process, empty_database_url)
        until(
            lambda: second.done() or waits_for_advisory_lock(first),
            within_seconds=300,
            what="a migration that waits",
        )
        assert not second.done()
        assert not has_table(first, "tenants")
        first.rollback()
        assert second.result(120) == 0
    assert version(empty) == head()


def migrate_in_process(url: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env=os.environ | {"LEDGERBEAT_DATABASE_URL": url},
        capture_output=True,
        timeout=300,
        check=False,
    )
    return done.returncode


def waits_for_advisory_lock(connection: Any) -> bool:
    query = text("""
        SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
        WHERE d.datname = current_database() AND l.locktype = 'advisory' AND NOT l.granted
    """)
    return bool(connection.execute(query).scalar_one())


def has_table(connection: Any, name: str) -> bool:
    return connection.execute(text("SELECT to_regclass(:name)"), {"name": name}).scalar_one() is not None


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_alembic_on_the_command_line_takes_the_url_from_the_environment(
    empty_database_url: str, empty: Engine, scheme: str
) -> None:
    url = make_url(empty_database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    assert migrate_in_process(url.replace("postgresql://", f"{scheme}://", 1)) == 0
    assert version(empty) == head()


def test_alembic_without_a_url_says_what_to_set() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head"],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("LEDGERBEAT_")},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode != 0
    assert b"LEDGERBEAT_DATABASE_URL is not set" in done.stderr


def test_migrations_print_as_sql_for_those_who_apply_it_themselves(empty_database_url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "upgrade", "head", "--sql"],
        cwd=ROOT,
        env=os.environ | {"LEDGERBEAT_DATABASE_URL": empty_database_url},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    url = make_url(empty_database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(done.stdout)
        found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert found == (head(),)


def test_a_migration_waits_for_a_lock_and_works_no_longer_than_it_may(config: Config) -> None:
    limits: list[tuple[str, str]] = []

    def look(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "CREATE TABLE" in statement:
            with cursor.connection.cursor() as beside:
                beside.execute("SELECT current_setting('lock_timeout'), current_setting('statement_timeout')")
                limits.append(beside.fetchone())

    event.listen(Engine, "before_cursor_execute", look)
    try:
        command.upgrade(config, "head")
    finally:
        event.remove(Engine, "before_cursor_execute", look)
    assert set(limits) == {("5s", "10min")}


def test_a_migration_that_cannot_have_its_lock_gives_up_whole_and_lets_the_next_try(
    config: Config, empty: Engine
) -> None:
    command.upgrade(config, "head")
    with empty.connect() as busy:
        busy.execute(text("LOCK TABLE schedule_slots IN ACCESS SHARE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            command.downgrade(config, "0004")
        assert not waits_for_advisory_lock(busy)
    assert version(empty) == "0005"
    command.downgrade(config, "0004")
    command.upgrade(config, "head")
