"""The doctor finds each problem, says what to do, tells no secret, and is done in seconds whatever is down."""

import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from sqlalchemy import text
from sqlalchemy.engine import make_url

from models.tenants import set_paused
from ops.doctor import Finding, examine
from ops.doctor.database import TRIGGERS, judge_clock
from ops.doctor.findings import Verdict
from tests.integration.doctor.patient import SECRET, TOKEN, Environment, answered, said, ticked, without_redis
from tests.integration.intake.processes import worker
from tests.integration.repair.commands import runner
from worker.database import Transaction


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_a_healthy_installation_has_no_problem(
    environment: Environment, transaction: Transaction, tmp_path: Path
) -> None:
    ticked(transaction)
    with worker({**os.environ, **environment}, tmp_path):
        findings = answered(environment)
    assert [one for one in findings if one.verdict == "problem"] == []
    assert {one.check for one in findings if one.verdict == "ok"} >= {
        "settings", "config", "database", "clock", "migrations", "role", "rights", "guards", "beat", "lag", "redis",
        "broker", "workers",
    }  # fmt: skip


def test_without_a_worker_that_is_the_problem(environment: Environment, transaction: Transaction) -> None:
    ticked(transaction)
    assert said(environment, "problem") == {"workers": "none answered a ping within 1.5 s"}


@pytest.mark.parametrize(
    ("change", "check", "verdict", "words"),
    [
        ("UPDATE alembic_version SET version_num = '0001'", "migrations", "problem", "at 0001"),
        ("DROP TABLE alembic_version", "migrations", "problem", "none"),
        ("UPDATE alembic_version SET version_num = '9999_newer'", "migrations", "warning", "newer than"),
        (
            "GRANT UPDATE ON ledger_entries TO ledgerbeat_worker",
            "rights",
            "problem",
            "rewrite ledger_entries",
        ),
        ("GRANT UPDATE (reason) ON audit_events TO ledgerbeat_worker", "rights", "problem", "audit_events"),
        ("DELETE FROM tenants WHERE tenant = 'acme'", "tenants", "problem", "not in the database: acme"),
        *(
            (f"ALTER TABLE {table} DISABLE TRIGGER {trigger}", "guards", "problem", trigger)
            for table, trigger in (
                ("accounts", "accounts_keep_identity"),
                ("accounts", "accounts_stay"),
                ("audit_events", "audit_events_append_only"),
                ("ledger_entries", "ledger_entries_append_only"),
                ("ledger_entries", "ledger_entries_balanced"),
                ("ledger_mismatches", "ledger_mismatches_append_only"),
                ("ledger_transactions", "ledger_transactions_append_only"),
                ("webhook_deliveries", "webhook_deliveries_append_only"),
            )
        ),
    ],
)
def test_what_is_wrong_in_the_database_is_found(
    environment: Environment,
    owner_transaction: Transaction,
    change: str,
    check: str,
    verdict: str,
    words: str,
) -> None:
    with owner_transaction() as session:
        session.execute(text(change))
    [found] = [one for one in without_redis(environment) if one.check == check and one.verdict == verdict]
    assert words in found.found
    assert found.fix


def test_the_list_of_guards_is_the_databases(transaction: Transaction) -> None:
    named = text("""
        SELECT tgname FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
        WHERE c.relnamespace = 'public'::regnamespace AND NOT tgisinternal
    """)
    with transaction() as session:
        assert set(session.execute(named).scalars()) == TRIGGERS


@pytest.mark.parametrize(
    ("changed", "check", "verdict", "words"),
    [
        ({"LEDGERBEAT_DATABASE_ROLE": "ledgerbeat_absent"}, "role", "problem", "does not exist"),
        ({"LEDGERBEAT_HTTP_PORT": "many"}, "settings", "problem", "LEDGERBEAT_HTTP_PORT"),
        ({"LEDGERBEAT_REDIS_URL": "http://x"}, "settings", "problem", "LEDGERBEAT_REDIS_URL"),
        ({"LEDGERBEAT_CONFIG": "/nowhere.toml"}, "settings", "problem", "cannot read /nowhere.toml"),
        ({"ACME_TOKEN": ""}, "settings", "problem", "ACME_TOKEN is not set"),
        ({"LEDGERBEAT_CONFIG": ""}, "config", "problem", "no tenants are configured"),
        ({"LEDGERBEAT_DATABASE_URL": ""}, "database", "problem", "LEDGERBEAT_DATABASE_URL is not set"),
        (
            {"LEDGERBEAT_DATABASE_URL": "postgresql://a:sesame@127.0.0.1:1/x"},
            "database",
            "problem",
            "refused",
        ),
        ({"LEDGERBEAT_BROKER_URL": "amqp://a:sesame@127.0.0.1:1//"}, "broker", "problem", "cannot be used"),
    ],
)
def test_what_is_wrong_in_the_settings_is_found(
    environment: Environment, changed: Environment, check: str, verdict: str, words: str
) -> None:
    found = [one for one in examine(environment | changed) if one.check == check and one.verdict == verdict]
    assert any(words in one.found for one in found), found
    assert "sesame" not in str(found)


def test_a_login_that_may_not_act_as_the_worker_is_a_problem(
    environment: Environment, owner_transaction: Transaction
) -> None:
    guest = f"guest_{uuid4().hex[:8]}"
    with owner_transaction() as session:
        session.execute(text(f"CREATE ROLE {guest} LOGIN PASSWORD 'sesame'"))
    url = make_url(environment["LEDGERBEAT_DATABASE_URL"]).set(username=guest, password="sesame")
    try:
        findings = without_redis(
            environment | {"LEDGERBEAT_DATABASE_URL": url.render_as_string(hide_password=False)}
        )
    finally:
        with owner_transaction() as session:
            session.execute(text(f"DROP ROLE {guest}"))
    [found] = [one for one in findings if one.check == "role"]
    assert (found.verdict, found.fix) == ("problem", f"GRANT ledgerbeat_worker TO {guest}")
    assert any(one.check == "migrations" and "cannot be read" in one.found for one in findings)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("[tenants.bare]", "tenant bare has no API token"),
        ("[tenants.bare]", "tenant bare has no provider"),
        ("", "names no tenant"),
    ],
)
def test_tenants_that_lack_something_are_named(
    environment: Environment, tmp_path: Path, config: str, words: str
) -> None:
    (tmp_path / "ledgerbeat.toml").write_text(config or "# empty")
    assert any(words in one.found for one in without_redis(environment) if one.verdict != "ok")


def test_several_wrong_settings_hide_nothing(environment: Environment) -> None:
    wrong = {"LEDGERBEAT_HTTP_PORT": "x", "LEDGERBEAT_FLOWER_PORT": "y", "LEDGERBEAT_LOG_FORMAT": "z"}
    findings = examine(environment | wrong)
    assert sum(one.check == "settings" for one in findings) == 3
    assert any(one.check == "database" and one.verdict == "ok" for one in findings)


def test_an_empty_database_is_not_migrated(environment: Environment, empty_database_url: str) -> None:
    findings = without_redis(environment | {"LEDGERBEAT_DATABASE_URL": empty_database_url})
    [found] = [one for one in findings if one.check == "migrations"]
    assert (found.verdict, "ledgerbeat migrate" in found.fix) == ("problem", True)


def test_a_redis_that_evicts_is_a_problem(environment: Environment, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            found = said(environment, "problem")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert found["redis"] == "maxmemory-policy allkeys-lru"


@pytest.mark.parametrize(("appendonly", "verdict"), [("no", "warning"), ("yes", "ok")])
def test_a_redis_that_forgets_is_a_warning(
    environment: Environment, redis_url: str, appendonly: str, verdict: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        before = client.config_get("appendonly")["appendonly"]
        client.config_set("appendonly", appendonly)
        try:
            found = [one for one in examine(environment) if one.found.startswith("appendonly")]
        finally:
            client.config_set("appendonly", before)
    assert [one.verdict for one in found] == [verdict]


@pytest.mark.parametrize(
    ("skew", "verdict"), [(0.0, "ok"), (-1.9, "ok"), (3.0, "warning"), (-29.0, "warning"), (31.0, "problem")]
)
def test_clocks_that_differ(skew: float, verdict: str) -> None:
    assert judge_clock(skew).verdict == verdict


def test_a_paused_tenant_is_a_warning(environment: Environment, transaction: Transaction) -> None:
    with transaction() as session:
        set_paused(session, "acme", datetime.now(UTC))
    assert any(one.found == "acme is paused" for one in without_redis(environment))


def test_when_everything_is_silent_it_is_done_in_seconds(environment: Environment, black_hole: str) -> None:
    silent = {
        "LEDGERBEAT_DATABASE_URL": f"postgresql://app:sesame@{black_hole}/x",
        "LEDGERBEAT_REDIS_URL": f"redis://:sesame@{black_hole}/0",
    }
    started = time.monotonic()
    findings = examine(environment | silent)
    assert time.monotonic() - started < 30
    assert {one.check for one in findings if one.verdict == "problem"} == {"database", "redis", "broker"}
    assert not any(secret in repr(findings) for secret in ("sesame", TOKEN, SECRET))


def test_a_password_in_a_drivers_message_is_hidden(environment: Environment) -> None:
    named_so = {"LEDGERBEAT_DATABASE_URL": "postgresql://app:refused@127.0.0.1:1/x"}
    findings = [one for one in without_redis(environment | named_so) if one.check == "database"]
    assert "Connection ***" in findings[0].found


@pytest.mark.parametrize("healthy", [True, False])
def test_the_command_says_it_and_exits_with_0_or_1(
    environment: Environment,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    healthy: bool,
) -> None:
    verdict: Verdict = "ok" if healthy else "problem"
    findings = [Finding("database", verdict, "found so", "" if healthy else "do this")]
    monkeypatch.setattr("ops.doctor.examine", lambda: findings)
    run = runner(monkeypatch, capsys, tmp_path)
    told = run("doctor")
    assert (told.code, "database: found so" in told.out) == (0 if healthy else 1, True)
    assert ("what to do: do this" in told.out) is not healthy
    assert run("doctor", "--json").json["healthy"] is healthy


def test_an_account_of_files_alone_is_no_trouble(environment: Environment) -> None:
    path = Path(environment["LEDGERBEAT_CONFIG"])
    bank = """
[tenants.acme.providers.bank.records]
path = "/srv/bank/*.csv"
format = "csv"
columns = {record_id = "Id", occurred_at = "At", amount = "Amount", currency_always = "EUR"}
"""
    before = {(one.check, one.verdict) for one in without_redis(environment)}
    path.write_text(path.read_text() + bank)
    assert {(one.check, one.verdict) for one in without_redis(environment)} == before
