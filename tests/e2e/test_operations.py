"""Operating a running Ledgerbeat: the command line's answers and exit codes, a tenant that is paused, the metrics."""

import json
import sys
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from models.jobs.outcomes import UNKNOWN_NAME
from models.ledger.verify import INVARIANTS
from ops.cli import main
from tests.e2e.app import App, credit_args
from tests.e2e.clients import Client, accepted, post_all
from tests.e2e.running import NOTHING_SET, Running, ledgerbeat
from tests.integration.ledger.postings import credit, posted
from tests.waiting import until
from worker.database import Transaction

pytestmark = pytest.mark.e2e

BY = ("--actor", "ops@example", "--reason", "a test")


@pytest.fixture
def printed(
    everyday: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Any]:
    """Runs a command in this process, which is cheaper, and returns the JSON that it prints when all is well."""
    for name, value in everyday.stack.environment.items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Any:
        monkeypatch.setattr(sys, "argv", ["ledgerbeat", *arguments, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert (ended.value.code, err) == (0, "")
        return json.loads(out)

    return run


def test_a_paused_tenant_takes_webhooks_and_no_jobs_until_it_is_resumed(everyday: Running, app: App) -> None:
    accepted(post_all(app.url, [app.expect("order-1", "ada")]))
    paused = everyday.cli("tenants", "pause", app.tenant, *BY)
    assert (paused.returncode, paused.stdout) == (0, f"{app.tenant} is paused\n")

    [refused] = post_all(app.url, [app.credit("while-paused")])
    assert (refused.status, refused.code) == (403, "tenant_paused")
    enqueue = "SELECT enqueue_job(%s, 'wallets.credit', 'while-paused', '{}')"
    with everyday.connect() as connection, pytest.raises(psycopg.Error, match="tenant_paused"):
        connection.execute(enqueue, (app.tenant,))
    app.send_by_celery(("wallets.credit", "while-paused", credit_args("ada", 1)))
    accepted(post_all(app.url, [app.capture("order-1")]))
    app.settle(jobs=2)
    assert app.wallets() == {"ada": 2000}

    assert everyday.cli("tenants", "resume", app.tenant, *BY).returncode == 0
    accepted(post_all(app.url, [app.credit("after")]))
    app.settle(jobs=3)
    assert app.wallets() == {"ada": 2100}
    rejected = "SELECT total FROM job_outcomes WHERE tenant = :tenant AND reason = 'tenant_paused'"
    assert until(lambda: app.rows(rejected)) == [{"total": 1}]
    audited = "SELECT action, actor, reason FROM audit_events WHERE tenant = :tenant ORDER BY id"
    assert [tuple(row.values()) for row in app.rows(audited)] == [
        (f"tenant.{done}", "ops@example", "a test") for done in ("paused", "resumed")
    ]


def test_every_reading_command_prints_json(printed: Callable[..., Any], app: App) -> None:
    [answer] = accepted(post_all(app.url, [app.credit("credit-1", "ada", 250)]))
    app.settle(jobs=1)
    of_tenant = ("--tenant", app.tenant)
    listed = printed("jobs", "list", *of_tenant, "--state", "done")
    assert [(job["id"], job["name"]) for job in listed] == [(answer["job_id"], "wallets.credit")]
    shown = printed("jobs", "show", answer["job_id"])
    assert (shown["state"], sorted(entry["amount_minor"] for entry in shown["entries"])) == (
        "done",
        [-250, 250],
    )
    wallets = printed("wallets", "show", *of_tenant)
    assert wallets == [{"owner": "ada", "currency": "EUR", "available_minor": 250, "held_minor": 0}]
    history = printed("wallets", "history", "ada", *of_tenant, "--currency", "EUR")
    assert [line["balance_after_minor"] for line in history["lines"]] == [250]
    assert app.tenant in {tenant["tenant"] for tenant in printed("tenants", "list")}
    verified = printed("verify", *of_tenant)
    assert verified["clean"] is True
    assert [check["name"] for check in verified["checks"]] == [invariant.name for invariant in INVARIANTS]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("jobs", "show", str(uuid4())), "no job"),
        (("jobs", "list", "--state", "lost"), "lost"),
        (("wallets", "show", "nobody", "--tenant", "shop-01"), "nobody"),
        (("tenants", "pause", "shop-01"), "--actor"),
        (("no-such-command",), "no-such-command"),
    ],
)
def test_a_command_that_cannot_do_its_work_says_why_and_ends_with_2(
    everyday: Running, arguments: tuple[str, ...], says: str
) -> None:
    done = everyday.cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_verify_ends_with_1_and_names_what_is_broken(
    database_url: str, transaction: Transaction, owner_transaction: Transaction, tenant: str
) -> None:
    environment = {**NOTHING_SET, "LEDGERBEAT_DATABASE_URL": database_url}
    posted(transaction, credit("ada", 500, "credit-1"))
    assert ledgerbeat("verify", environment=environment).returncode == 0
    with owner_transaction() as session:
        session.execute(text("UPDATE accounts SET balance_minor = 501 WHERE code = 'wallet:ada:available'"))
    broken = ledgerbeat("verify", "--json", environment=environment)
    assert (broken.returncode, broken.stderr) == (1, "")
    found = {
        check["name"]: check["broken"] for check in json.loads(broken.stdout)["checks"] if check["broken"]
    }
    assert [one["tenant"] for one in found["balances_equal_their_entries"]] == [tenant]
    said = ledgerbeat("verify", "--tenant", "acme", environment=environment)
    assert said.returncode == 1
    assert "BROKEN balances_equal_their_entries" in said.stdout


def test_without_a_database_a_command_ends_with_2_and_says_what_to_set() -> None:
    unset = ledgerbeat("verify", environment={**NOTHING_SET, "LEDGERBEAT_HOME": "/nonexistent"})
    assert (unset.returncode, unset.stdout) == (2, "")
    assert "LEDGERBEAT_DATABASE_URL" in unset.stderr
    away = {**NOTHING_SET, "LEDGERBEAT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    unreachable = ledgerbeat("jobs", "list", "--json", environment=away)
    assert (unreachable.returncode, unreachable.stdout) == (2, "")
    assert "Traceback" not in unreachable.stderr


def test_the_metrics_count_what_was_accepted_processed_refused_parked_and_dead(app: App) -> None:
    client = Client(app.url)
    accepted([client.post(app.credit("credit-1")) for _ in range(2)])
    accepted([client.post(app.job("wallets.debit", credit_args("ada", 999), "too-much"))])
    accepted([client.post(app.capture("order-nobody-announced"))])
    client.close()
    app.send_by_celery(("wallets.fly", "unknown", {}))
    until(lambda: app.states() == {"done": 1, "refused": 1, "parked": 1, "dead": 1})

    def outcomes() -> set[tuple[str, str, str, float]]:
        shown = text_string_to_metric_families(httpx.get(f"{app.url}/metrics", timeout=60).text)
        families = {family.name: family.samples for family in shown}
        if not set(families) >= WANTED:  # PostgreSQL was not asked in time
            return set()
        return {
            (sample.labels["name"], sample.labels["outcome"], sample.labels["reason"], sample.value)
            for sample in families["ledgerbeat_jobs_outcomes"]
            if sample.labels["tenant"] == app.tenant
        }

    until(lambda: outcomes() == EXPECTED, what="fresh metrics")


EXPECTED = {
    ("wallets.credit", "accepted", "", 1.0),
    ("wallets.credit", "done", "", 1.0),
    ("wallets.debit", "accepted", "", 1.0),
    ("wallets.debit", "refused", "insufficient_funds", 1.0),
    ("webhooks.event", "accepted", "", 1.0),
    ("webhooks.event", "parked", "unknown_reference", 1.0),
    (UNKNOWN_NAME, "accepted", "", 1.0),
    (UNKNOWN_NAME, "dead", "unknown_job", 1.0),
}
WANTED = {
    "ledgerbeat_http_jobs",
    "ledgerbeat_http_refused",
    "ledgerbeat_http_requests",
    "ledgerbeat_http_request_seconds",
    "ledgerbeat_http_token_matched",
    "ledgerbeat_webhook_secret_matched",
    "ledgerbeat_jobs",
    "ledgerbeat_jobs_outcomes",
    "ledgerbeat_lag_seconds",
    "ledgerbeat_oldest_due_seconds",
    "ledgerbeat_ledger_mismatches",
    "ledgerbeat_tenant_paused",
    "ledgerbeat_database_up",
}
