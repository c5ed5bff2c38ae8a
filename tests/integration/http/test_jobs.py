"""Jobs come in: once per key, each with its own fate, however many at once."""

import asyncio
from collections import Counter
from typing import Any

import httpx
from sqlalchemy import text

from tests.factories import job_rows
from tests.integration.http.requests import CREDIT, credit, job_headers
from tests.integration.http.serving import ACME_OLD_TOKEN, GLOBEX_TOKEN, serving, settings
from tests.waiting import until
from worker.catalogue import JOBS
from worker.catalogue.describe import example
from worker.database import Transaction

POISON = """
    CREATE FUNCTION refuse_poison() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '22000'; END $$;
    CREATE TRIGGER refuse_poison BEFORE INSERT ON jobs FOR EACH ROW
    WHEN (NEW.idempotency_key LIKE 'poison%') EXECUTE FUNCTION refuse_poison();
"""


async def send_at_once(address: str, requests: list[tuple[str, dict[str, Any]]]) -> list[httpx.Response]:
    """All of (key, arguments) at the same moment, over as many connections."""
    limits = httpx.Limits(max_connections=len(requests))
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        return await asyncio.gather(
            *(client.post(CREDIT, json=args, headers=job_headers(key)) for key, args in requests)
        )


def test_a_job_is_recorded_when_it_is_answered(client: httpx.Client, transaction: Transaction) -> None:
    response = client.post(CREDIT, json=credit(), headers=job_headers("k"))
    assert response.status_code == 202
    assert response.headers["cache-control"] == "no-store"
    (row,) = job_rows(transaction)
    assert response.json() == {
        "job_id": str(row["id"]),
        "name": "wallets.credit",
        "state": "queued",
        "duplicate": False,
    }
    assert (row["origin"], row["idempotency_key"], row["args"]) == ("app", "k", credit())


def test_every_job_of_the_catalogue_comes_in(client: httpx.Client, transaction: Transaction) -> None:
    for name in JOBS:
        response = client.post(f"/v1/jobs/{name}", json=example(name), headers=job_headers(f"key of {name}"))
        assert (response.status_code, response.json()["name"]) == (202, name)
    assert [row["name"] for row in job_rows(transaction)] == list(JOBS)


def test_the_same_key_and_body_is_the_same_job(client: httpx.Client, transaction: Transaction) -> None:
    first = client.post(CREDIT, json=credit(), headers=job_headers("k")).json()
    respelled = dict(reversed(credit().items()))
    again = client.post(CREDIT, json=respelled, headers=job_headers("k", ACME_OLD_TOKEN)).json()
    assert again == {**first, "duplicate": True}
    assert len(job_rows(transaction)) == 1


def test_the_same_key_at_the_same_time_is_one_job(shim: str, transaction: Transaction) -> None:
    answers = asyncio.run(send_at_once(shim, [("k", credit())] * 20))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["job_id"] for answer in answers}) == 1
    assert Counter(answer.json()["duplicate"] for answer in answers) == {False: 1, True: 19}
    assert len(job_rows(transaction)) == 1


def test_two_bodies_fight_for_a_key_and_one_wins(shim: str, transaction: Transaction) -> None:
    answers = asyncio.run(send_at_once(shim, [("k", credit(n)) for n in range(1, 11)]))
    assert Counter(answer.status_code for answer in answers) == {202: 1, 422: 9}
    assert len(job_rows(transaction)) == 1


def test_a_key_belongs_to_its_tenant(client: httpx.Client, transaction: Transaction) -> None:
    ours = client.post(CREDIT, json=credit(), headers=job_headers("k")).json()
    theirs = client.post(CREDIT, json=credit(), headers=job_headers("k", GLOBEX_TOKEN)).json()
    assert theirs["duplicate"] is False
    assert theirs["job_id"] != ours["job_id"]
    assert len(job_rows(transaction, "acme")) == len(job_rows(transaction, "globex")) == 1


def test_a_bad_one_among_fifty_fails_alone(
    shim: str, transaction: Transaction, owner_transaction: Transaction
) -> None:
    with owner_transaction() as session:
        session.execute(text(POISON))
    requests = [(f"k{n}", credit()) for n in range(49)]
    answers = asyncio.run(send_at_once(shim, [*requests, ("poison", credit())]))
    assert [answer.status_code for answer in answers] == [202] * 49 + [503]
    assert answers[-1].json()["code"] == "not_accepted"
    assert "retry-after" in answers[-1].headers
    assert {row["idempotency_key"] for row in job_rows(transaction)} == {key for key, _ in requests}


def test_requests_that_arrive_together_share_commits(shim: str, transaction: Transaction) -> None:
    answers = asyncio.run(send_at_once(shim, [(f"k{n}", credit()) for n in range(200)]))
    assert {answer.status_code for answer in answers} == {202}
    with transaction() as session:
        commits = session.execute(text("SELECT count(DISTINCT xmin::text) FROM jobs")).scalar_one()
    assert commits < 150


def test_one_callers_requests_keep_their_order(client: httpx.Client, transaction: Transaction) -> None:
    for n in range(30):
        client.post(CREDIT, json=credit(), headers=job_headers(f"k{n:02}"))
    assert [row["idempotency_key"] for row in job_rows(transaction)] == [f"k{n:02}" for n in range(30)]


def test_the_tenant_is_nudged_after_the_commit(database_url: str, transaction: Transaction) -> None:
    nudged: list[int] = []

    def nudge(tenants: object) -> None:
        assert tenants == {"acme"}
        nudged.append(len(job_rows(transaction)))

    with serving(settings(database_url), nudge) as address, httpx.Client(base_url=address) as client:
        client.post(CREDIT, json=credit(), headers=job_headers())
        until(lambda: nudged)
    assert nudged == [1]
