"""What operators see: health, readiness, metrics, and logs without secrets."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from structlog.testing import capture_logs
from structlog.typing import EventDict

from models.jobs.claim import claim, lock_lane
from models.jobs.outcomes import Dead, Done, finish
from models.schedules import claim_slot, finish_slot
from models.tenants import set_paused
from tests.integration.http.requests import CREDIT, SANDBOX, captured, credit, job_headers, signed
from tests.integration.http.serving import ACME_OLD_TOKEN, ACME_TOKEN, SANDBOX_SECRET, serving, settings
from tests.waiting import PATIENCE_SECONDS, until
from worker.database import Transaction
from worker.http import gauges


def metrics(client: httpx.Client) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """(name, sorted labels) -> value."""
    response = client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def value(found: dict[Any, float], metric: str, **labels: str) -> float | None:
    return found.get((metric, tuple(sorted(labels.items()))))


def test_health_says_that_the_process_lives(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "alive"}


def test_readiness_names_both_servers(client: httpx.Client) -> None:
    assert client.get("/readyz").json() == {"status": "ready", "database": "ok", "broker": "ok"}


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ("UPDATE alembic_version SET version_num = '0001'", 503),
        ("DELETE FROM alembic_version", 503),
        ("DROP TABLE alembic_version", 503),
        ("UPDATE alembic_version SET version_num = '9999_of_a_newer_release'", 200),
    ],
)
@pytest.mark.usefixtures("patient")
def test_a_database_that_is_behind_is_not_ready_and_one_ahead_is(
    database_url: str, owner_transaction: Transaction, change: str, status: int
) -> None:
    with owner_transaction() as session:
        session.execute(text(change))
    with (
        serving(settings(database_url)) as address,
        httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as client,
    ):
        ready = client.get("/readyz")
        assert ready.status_code == status
        assert ready.json()["database"] == ("ok" if status == 200 else "not_migrated")


@pytest.mark.usefixtures("patient")
def test_an_empty_database_is_not_migrated(empty_database_url: str) -> None:
    with (
        serving(settings(empty_database_url)) as address,
        httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as client,
    ):
        assert client.get("/readyz").json()["database"] == "not_migrated"
        assert client.get("/metrics").status_code == 200


def test_the_process_counts_what_it_answers(client: httpx.Client) -> None:
    client.post(CREDIT, json=credit(), headers=job_headers("k"))
    client.post(CREDIT, json=credit(), headers=job_headers("k", ACME_OLD_TOKEN))
    client.post(CREDIT, json=credit(6), headers=job_headers("k"))
    client.post("/nowhere")
    found = metrics(client)
    assert value(found, "ledgerbeat_http_token_matched_total", tenant="acme", index="0") == 2
    assert value(found, "ledgerbeat_http_token_matched_total", tenant="acme", index="1") == 1
    jobs = {"tenant": "acme", "name": "wallets.credit"}
    assert value(found, "ledgerbeat_http_jobs_total", **jobs, answer="accepted") == 1
    assert value(found, "ledgerbeat_http_jobs_total", **jobs, answer="duplicate") == 1
    assert value(found, "ledgerbeat_http_jobs_total", **jobs, answer="idempotency_key_reused") == 1
    assert value(found, "ledgerbeat_http_requests_total", route="jobs", method="POST", status="202") == 2
    assert value(found, "ledgerbeat_http_refused_total", route="none", code="not_found") == 1


def test_labels_are_never_a_strangers_words(client: httpx.Client) -> None:
    for n in range(20):
        client.request(f"BREW{n}", f"/{n}/x")
        client.post(f"/v1/jobs/job{n}", headers=job_headers())
        client.post(f"/v1/webhooks/tenant{n}/provider{n}")
    text_shown = client.get("/metrics").text
    assert not any(word in text_shown for word in ("BREW", "job1", "tenant1", "provider1"))


def test_the_database_tells_of_jobs_and_the_ledger(
    client: httpx.Client, transaction: Transaction, now: datetime
) -> None:
    for n in range(4):
        client.post(CREDIT, json=credit(), headers=job_headers(f"k{n}"))
    with transaction() as session:
        assert lock_lane(session, "acme")
        jobs = claim(session, "acme", limit=2)
        finish(
            session, [(jobs[0], Done({})), (jobs[1], Dead("unprocessable", {}))], now=now.replace(year=2030)
        )
        set_paused(session, "globex", now)
    found = metrics(client)
    job = {"tenant": "acme", "name": "wallets.credit"}
    assert value(found, "ledgerbeat_database_up") == 1
    assert value(found, "ledgerbeat_jobs", **job, state="queued") == 2
    assert value(found, "ledgerbeat_jobs", **job, state="dead") == 1
    assert value(found, "ledgerbeat_jobs_outcomes_total", **job, outcome="done", reason="") == 1
    assert value(found, "ledgerbeat_jobs_outcomes_total", **job, outcome="dead", reason="unprocessable") == 1
    assert (value(found, "ledgerbeat_oldest_due_seconds", tenant="acme") or 0) > 0
    assert value(found, "ledgerbeat_oldest_due_seconds", tenant="globex") == 0
    assert (value(found, "ledgerbeat_lag_seconds", tenant="acme") or 0) > 0
    assert value(found, "ledgerbeat_ledger_mismatches_total", tenant="acme") == 0
    assert value(found, "ledgerbeat_tenant_paused", tenant="globex") == 1


def test_the_last_verify_is_shown(client: httpx.Client, transaction: Transaction, now: datetime) -> None:
    with transaction() as session:
        for hour, broken in ((1, {"zero_sum": 3, "balances": 1}), (2, {"zero_sum": 1})):
            slot = now + timedelta(hours=hour)
            assert claim_slot(session, "ledger.verify", slot, now=slot)
            finish_slot(session, "ledger.verify", slot, {"checks": 9, "broken": broken}, now=slot)
    found = metrics(client)
    assert value(found, "ledgerbeat_verify_broken") == 1
    finished_at = (now + timedelta(hours=2)).timestamp()
    assert value(found, "ledgerbeat_verify_finished_timestamp_seconds") == finished_at


@pytest.mark.usefixtures("patient")
def test_the_metrics_of_the_database_are_read_at_most_every_few_seconds(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gauges.FRESH_SECONDS == 5
    monkeypatch.setattr(gauges, "FRESH_SECONDS", 600.0)  # which the test does not take
    with (
        serving(settings(database_url)) as address,
        httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as client,
    ):
        assert value(metrics(client), "ledgerbeat_database_up") == 1
        client.post(CREDIT, json=credit(), headers=job_headers())
        found = metrics(client)
    assert value(found, "ledgerbeat_jobs", tenant="acme", name="wallets.credit", state="queued") is None


@pytest.mark.usefixtures("patient")
def test_metrics_have_a_port_of_their_own_when_one_is_set(database_url: str, free_port: int) -> None:
    with serving(settings(database_url, metrics_port=free_port)) as address:
        own = httpx.get(f"http://127.0.0.1:{free_port}/metrics", timeout=PATIENCE_SECONDS)
        assert (own.status_code, "ledgerbeat_database_up 1.0" in own.text) == (200, True)
        assert httpx.get(f"{address}/metrics", timeout=PATIENCE_SECONDS).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{free_port}/metrics")


def test_a_metrics_port_that_is_taken_stops_nothing(database_url: str, free_port: int) -> None:
    configured = settings(database_url, metrics_port=free_port)
    with serving(configured), serving(configured) as second:
        assert httpx.get(f"{second}/metrics", timeout=PATIENCE_SECONDS).status_code == 200


def test_logs_name_ids_and_codes_and_no_secret(client: httpx.Client) -> None:
    body = captured(reference="order-secret")
    stripe = "/v1/webhooks/acme/stripe"
    with capture_logs() as logs:
        job = client.post(CREDIT, json=credit(owner="ada-secret"), headers=job_headers("key-secret")).json()
        client.post(CREDIT, json={"owner": "ada secret"}, headers=job_headers("key-secret"))
        client.post(CREDIT, json=credit(), headers=job_headers(token="token-secret"))
        client.post(SANDBOX, content=body, headers=signed(body))
        client.post(stripe, content=b"body-secret", headers={"Stripe-Signature": "t=1,v1=secret"})
        until(lambda: len(requests_of(logs)) == 5)
    assert not any(word in repr(logs) for word in ("secret", ACME_TOKEN, SANDBOX_SECRET))
    accepted = {"job_id": job["job_id"], "tenant": "acme", "job": "wallets.credit", "status": 202}
    assert accepted.items() <= requests_of(logs)[0].items()
    assert [entry.get("code") for entry in requests_of(logs)] == [
        None,
        "invalid_arguments",
        "unauthenticated",
        None,
        "bad_signature",
    ]


def requests_of(logs: list[EventDict]) -> list[EventDict]:
    return [entry for entry in logs if entry["event"] == "http.request"]
