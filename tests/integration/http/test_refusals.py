"""Refusals that only the database can decide, or that stand beside what is accepted."""

import json
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from models.tenants import set_paused
from tests.factories import job_rows
from tests.integration.http.problems import check
from tests.integration.http.requests import CREDIT, SANDBOX, captured, credit, job_headers, signed
from tests.integration.http.serving import GLOBEX_TOKEN, serving, settings
from worker.database import Transaction
from worker.http.limits import BODY_BYTES_MAX, WEBHOOK_BYTES_MAX


@pytest.mark.parametrize("key", ["x", "x" * 255, "a key, with spaces ~!"])
def test_printable_keys_of_up_to_255_are_accepted(client: httpx.Client, key: str) -> None:
    assert client.post(CREDIT, json=credit(), headers=job_headers(key)).status_code == 202


def test_a_paused_tenant_is_refused_and_its_webhooks_are_not(
    client: httpx.Client, tenant: str, transaction: Transaction, now: Any
) -> None:
    with transaction() as session:
        set_paused(session, tenant, now)
    check(client.post(CREDIT, json=credit(), headers=job_headers()), 403, "tenant_paused")
    assert client.post(CREDIT, json=credit(), headers=job_headers(token=GLOBEX_TOKEN)).status_code == 202
    body = captured()
    assert client.post(SANDBOX, content=body, headers=signed(body)).status_code == 202


def test_head_is_answered_where_get_is(client: httpx.Client) -> None:
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        response = client.head(path)
        assert (response.status_code, response.content) == (200, b"")
    assert client.head(CREDIT).status_code == 405


def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_read(client: httpx.Client) -> None:
    at_the_limit = json.dumps(credit()).encode().ljust(BODY_BYTES_MAX)
    assert client.post(CREDIT, content=at_the_limit, headers=job_headers()).status_code == 202
    check(client.post(CREDIT, content=at_the_limit + b" ", headers=job_headers()), 413, "body_too_large")


def test_a_webhook_may_be_a_mebibyte_and_not_a_byte_more(
    client: httpx.Client, transaction: Transaction
) -> None:
    body = captured().ljust(WEBHOOK_BYTES_MAX)
    assert len(body) == 1024 * 1024
    assert client.post(SANDBOX, content=body, headers=signed(body)).status_code == 202
    [kept] = kept_bodies(transaction)
    assert kept == body
    for content in (body + b" ", iter([body, b" "])):
        check(client.post(SANDBOX, content=content, headers=signed(body)), 413, "body_too_large")
    assert len(job_rows(transaction)) == 1


def kept_bodies(transaction: Transaction) -> list[bytes]:
    with transaction() as session:
        return [
            bytes(body) for body in session.execute(text("SELECT body FROM webhook_deliveries")).scalars()
        ]


@pytest.mark.parametrize(
    "content_type", ["application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"']
)
def test_json_in_utf_8_may_say_so(client: httpx.Client, content_type: str) -> None:
    headers = {**job_headers(), "Content-Type": content_type}
    assert client.post(CREDIT, content=json.dumps(credit()), headers=headers).status_code == 202


def test_a_key_reused_for_something_else_is_refused(client: httpx.Client, transaction: Transaction) -> None:
    assert client.post(CREDIT, json=credit(5), headers=job_headers("k")).status_code == 202
    check(client.post(CREDIT, json=credit(6), headers=job_headers("k")), 422, "idempotency_key_reused")
    other_job = client.post("/v1/jobs/wallets.debit", json=credit(5), headers=job_headers("k"))
    check(other_job, 422, "idempotency_key_reused")
    assert len(job_rows(transaction)) == 1


def test_a_tenant_over_its_rate_is_told_when_to_come_back(database_url: str) -> None:
    with serving(settings(database_url, rate=1)) as address, httpx.Client(base_url=address) as client:
        answers = [client.post(CREDIT, json=credit(), headers=job_headers()) for _ in range(5)]
        assert [answer.status_code for answer in answers][:2] == [202, 202]
        check(answers[-1], 429, "rate_limited")
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert client.post(CREDIT, json=credit(), headers=job_headers(token=GLOBEX_TOKEN)).status_code == 202
        body = captured()
        for _ in range(5):
            assert client.post(SANDBOX, content=body, headers=signed(body)).status_code == 202
