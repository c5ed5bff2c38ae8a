"""What docker-compose.yml starts really starts, is healthy by its own health check, and stops when told to."""

import os
import signal
import subprocess
import time

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from ops.embedded.binaries import find_postgres
from tests.integration.compose.conftest import Installation


@pytest.mark.parametrize("name", ["worker", "beat"])
def test_a_service_starts_is_healthy_and_stops(installation: Installation, name: str) -> None:
    process = installation.start(name)
    try:
        assert installation.becomes_healthy(name, process)
    finally:
        assert stop(process) == 0
    assert not installation.is_healthy(name) or name == "beat"


def test_beat_is_not_healthy_when_it_noted_nothing_for_a_minute(installation: Installation) -> None:
    for noted in installation.folder.glob("beat-schedule*"):
        os.utime(noted, (time.time() - 61,) * 2)
    assert not installation.is_healthy("beat")


def test_migrating_again_changes_nothing(installation: Installation) -> None:
    subprocess.run(installation.command("migrate"), env=installation.environment("migrate"), check=True)


def test_flower_asks_who_is_there_and_does_not_start_without_its_password(installation: Installation) -> None:
    process = installation.start("flower")
    try:
        assert installation.becomes_healthy("flower", process)
        page = f"http://127.0.0.1:{installation.ports['5555']}/workers"
        assert httpx.get(page, trust_env=False, timeout=60).status_code == 401
        user, _, password = (installation.secrets / "flower_auth").read_text().strip().partition(":")
        assert httpx.get(page, auth=(user, password), trust_env=False, timeout=60).status_code == 200
    finally:
        assert stop(process) == 0
    assert not installation.is_healthy("flower")
    secret = installation.secrets / "flower_auth"
    password = secret.read_text()
    secret.write_text("")
    try:
        assert installation.start("flower").wait(120) != 0
    finally:
        secret.write_text(password)


def test_a_deposit_at_the_sandbox_reaches_the_shim(installation: Installation) -> None:
    shim, sandbox = installation.start("shim"), installation.start("sandbox")
    try:
        assert installation.becomes_healthy("shim", shim)
        assert installation.becomes_healthy("sandbox", sandbox)
        ask(installation, "/deposits", {"reference": "d-1", "amount_minor": 500, "currency": "EUR"})
        assert ask(installation, "/_flush", {}) == {"idle": True, "pending": 0}
    finally:
        assert [stop(process) for process in (shim, sandbox)] == [-signal.SIGTERM] * 2
    assert not installation.is_healthy("shim")
    assert not installation.is_healthy("sandbox")
    with psycopg.connect(installation.app_url) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (1,)


def test_the_workers_login_cannot_rewrite_the_ledger_or_the_schema(installation: Installation) -> None:
    forbidden = (
        "UPDATE ledger_entries SET amount_minor = 1",
        "DELETE FROM ledger_transactions",
        "TRUNCATE jobs",
        "CREATE TABLE mine (id int)",
        "DROP TABLE jobs",
        "UPDATE tenant_roles SET tenant = 'mine'",
    )
    with psycopg.connect(installation.app_url, autocommit=True) as connection:
        for statement in forbidden:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_a_dump_restores_into_an_empty_database_and_verifies(installation: Installation) -> None:
    tools = find_postgres().folder
    dump, server = installation.folder / "ledgerbeat.dump", installation.superuser_url
    restored = make_url(server).set(database="restored").render_as_string(hide_password=False)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE restored OWNER ledgerbeat_owner")
    subprocess.run([tools / "pg_dump", "-Fc", "-f", dump, server], check=True)
    subprocess.run([tools / "pg_restore", "--exit-on-error", "-d", restored, dump], check=True)
    environment = installation.environment("worker") | {"LEDGERBEAT_DATABASE_URL": restored}
    del environment["LEDGERBEAT_DATABASE_URL_FILE"]
    assert subprocess.run(["ledgerbeat", "verify"], env=environment, check=False).returncode == 0
    app_url = make_url(installation.app_url).set(database="restored").render_as_string(hide_password=False)
    with psycopg.connect(app_url) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("DELETE FROM ledger_entries")


def test_only_named_roles_may_connect(installation: Installation) -> None:
    with psycopg.connect(installation.owner_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT rolname, rolsuper, has_database_privilege(rolname, 'ledgerbeat', 'CONNECT')"
            " FROM pg_roles WHERE rolname LIKE 'ledgerbeat%' ORDER BY rolname"
        ).fetchall()
        assert rows == [
            ("ledgerbeat_app", False, True),
            ("ledgerbeat_enqueue", False, True),
            ("ledgerbeat_owner", False, True),
            ("ledgerbeat_worker", False, True),
        ]
        public = connection.execute("SELECT has_database_privilege('pg_monitor', 'ledgerbeat', 'CONNECT')")
        assert public.fetchone() == (False,)


def stop(process: "subprocess.Popen[bytes]") -> int:
    """As Compose does it; uvicorn repeats the signal when it has stopped."""
    process.send_signal(signal.SIGTERM)
    return process.wait(120)


def ask(installation: Installation, path: str, body: dict[str, object]) -> object:
    key = (installation.secrets / "acme_sandbox_key").read_text().strip()
    url = f"http://127.0.0.1:{installation.ports['8090']}{path}"
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(url, json=body, headers=headers, timeout=60, trust_env=False).json()
