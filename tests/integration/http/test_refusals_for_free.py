"""Refusals that cost nothing: every one of these is given by a shim that has no database at all."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.integration.http.problems import check
from tests.integration.http.requests import CREDIT, SANDBOX, captured, credit, job_headers, signed
from tests.integration.http.serving import GLOBEX_TOKEN, serving, settings

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    """A client of a shim whose database does not exist."""
    with serving(settings(NOWHERE)) as address, httpx.Client(base_url=address, timeout=20) as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"1",
        b'{"owner": NaN}',
        b'{"owner": "a", "owner": "b"}',
        b'{"owner": "\\u0000"}',
        b'{"owner": "\\ud800"}',
        b'{"owner": "\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b'{"amount_minor": ' + b"9" * 5000 + b"}",
        b'{"amount_minor": 1e999}',
    ],
)
def test_what_is_not_a_json_object_is_malformed(client: httpx.Client, body: bytes) -> None:
    check(client.post(CREDIT, content=body, headers=job_headers()), 400, "malformed_json")


def test_a_key_is_required(client: httpx.Client) -> None:
    response = client.post(CREDIT, json=credit(), headers=job_headers(None))
    check(response, 400, "missing_idempotency_key")


@pytest.mark.parametrize("keys", [[b""], [b"x" * 256], [b"\xe9"], [b"a\tb"], [b"a", b"a"], [b"a", b"b"]])
def test_a_bad_key_is_refused(client: httpx.Client, keys: list[bytes]) -> None:
    headers = [(name.encode(), value.encode()) for name, value in job_headers(None).items()]
    headers += [(b"Idempotency-Key", key) for key in keys]
    check(client.post(CREDIT, content=json.dumps(credit()), headers=headers), 400, "bad_idempotency_key")


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Authorization", "Bearer")],
        [("Authorization", "Bearer wrong-token-of-nobody")],
        [("Authorization", f"Basic {GLOBEX_TOKEN}")],
        [("Authorization", f"Bearer {GLOBEX_TOKEN}"), ("Authorization", f"Bearer {GLOBEX_TOKEN}")],
    ],
)
def test_every_stranger_gets_one_answer(client: httpx.Client, headers: list[tuple[str, str]]) -> None:
    for path in (CREDIT, "/v1/jobs/no.such.job"):
        response = client.post(path, content=b"x" * 100, headers=headers)
        problem = check(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == 'Bearer realm="ledgerbeat"'
        assert problem["detail"] == "A valid token is expected: Authorization: Bearer <token>."


def test_a_forged_webhook_is_refused_whoever_it_claims_to_come_from(client: httpx.Client) -> None:
    body = captured()
    forged = signed(body, secret="whsec_" + "A" * 32)
    answers = {
        json.dumps({**check(client.post(f"/v1/webhooks/{tenant}/sandbox", content=body, headers=forged), 401,
                            "bad_signature"), "instance": ""})
        for tenant in ("acme", "globex", "nobody", "%00", "a" * 300)
    }  # fmt: skip
    assert len(answers) == 1


def test_an_unsigned_webhook_is_refused_with_the_same_words_for_every_tenant(client: httpx.Client) -> None:
    for tenant in ("acme", "globex", "nobody"):
        for provider, header in (("sandbox", "webhook-id"), ("stripe", "stripe-signature")):
            response = client.post(f"/v1/webhooks/{tenant}/{provider}", content=b"{}")
            assert check(response, 401, "bad_signature")["detail"] == f"The header {header} is missing."


@pytest.mark.parametrize("age_seconds", [-400, 400, 3600, 10**8])
def test_a_stale_signature_is_refused(client: httpx.Client, age_seconds: int) -> None:
    body = captured()
    response = client.post(SANDBOX, content=body, headers=signed(body, age_seconds=age_seconds))
    check(response, 401, "stale_signature")


def test_a_stale_forgery_is_a_forgery(client: httpx.Client) -> None:
    body = captured()
    forged = signed(body, secret="whsec_" + "A" * 32, age_seconds=4000)
    check(client.post(SANDBOX, content=body, headers=forged), 401, "bad_signature")


@pytest.mark.parametrize("body", [b"[]", b"{", b"", b"\xff", b'{"id": NaN}'])
def test_a_signed_webhook_that_is_not_json_is_malformed(client: httpx.Client, body: bytes) -> None:
    check(client.post(SANDBOX, content=body, headers=signed(body)), 400, "malformed_json")


@pytest.mark.parametrize(
    "name", ["wallets.steal", "webhooks.event", "intake.drain", "%00", "wallets.credit%0A"]
)
def test_an_unknown_job(client: httpx.Client, name: str) -> None:
    check(client.post(f"/v1/jobs/{name}", json={}, headers=job_headers()), 404, "unknown_job")


@pytest.mark.parametrize("tenant", ["acme", "globex", "nobody"])
def test_an_unknown_provider(client: httpx.Client, tenant: str) -> None:
    check(client.post(f"/v1/webhooks/{tenant}/paypal", content=b"{}"), 404, "unknown_provider")


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/jobs", "/v1/jobs/", "/v1/jobs/a/b", "/healthz/", "/v1/webhooks/a"]
)
def test_an_unknown_path(client: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        check(client.request(method, path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        *[
            (method, CREDIT, "POST")
            for method in ("GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
        ],
        ("GET", SANDBOX, "POST"),
        *[("POST", path, "GET, HEAD") for path in ("/healthz", "/readyz", "/metrics", "/openapi.json")],
        ("OPTIONS", "/metrics", "GET, HEAD"),
    ],
)
def test_another_method_is_refused_with_those_allowed(
    client: httpx.Client, method: str, path: str, allowed: str
) -> None:
    response = client.request(method, path)
    check(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/xml",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "text/html, application/json",
    ],
)
def test_another_media_type_is_refused(client: httpx.Client, content_type: str | None) -> None:
    headers = job_headers()
    del headers["Content-Type"]
    if content_type is not None:
        headers["Content-Type"] = content_type
    response = client.post(CREDIT, content=json.dumps(credit()), headers=headers)
    check(response, 415, "unsupported_media_type")


def test_a_compressed_body_is_refused(client: httpx.Client) -> None:
    headers = {**job_headers(), "Content-Encoding": "gzip"}
    check(client.post(CREDIT, json=credit(), headers=headers), 415, "unsupported_media_type")


def test_arguments_that_do_not_fit_are_pointed_at(client: httpx.Client) -> None:
    args = {"owner": "with space", "amount_minor": 1.0, "currency": "EUR", "reasons": "promo"}
    problem = check(client.post(CREDIT, json=args, headers=job_headers()), 422, "invalid_arguments")
    assert {error["pointer"] for error in problem["errors"]} == {
        "/owner",
        "/amount_minor",
        "/reason",
        "/reasons",
    }
    assert "with space" not in json.dumps(problem)


def test_a_refusal_leaves_the_connection_usable(client: httpx.Client) -> None:
    for _ in range(3):
        assert "connection" not in client.post(CREDIT, content=b"x" * 1000).headers
