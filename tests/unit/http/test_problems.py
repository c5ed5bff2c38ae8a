"""The table of problems is the contract's, and OpenAPI shows all of it."""

import json

import pytest

from worker.catalogue import JOBS, parse
from worker.http import openapi
from worker.http.problems import KINDS, Refusal, response

CONTRACT = {
    400: {"malformed_json", "missing_idempotency_key", "bad_idempotency_key"},
    401: {"unauthenticated", "bad_signature", "stale_signature"},
    403: {"tenant_paused"},
    404: {"unknown_job", "unknown_provider", "not_found"},
    405: {"method_not_allowed"},
    408: {"request_timeout"},
    413: {"body_too_large"},
    415: {"unsupported_media_type"},
    422: {"invalid_arguments", "idempotency_key_reused"},
    429: {"rate_limited"},
    500: {"internal_error"},
    503: {"not_accepted", "not_ready"},
}


def test_every_code_has_the_status_of_the_contract() -> None:
    found: dict[int, set[str]] = {}
    for kind in KINDS.values():
        found.setdefault(kind.status, set()).add(kind.code)
    assert found == CONTRACT


@pytest.mark.parametrize("code", KINDS)
def test_a_problem_is_a_problem_document(code: str) -> None:
    answer = response(Refusal(code, "A sentence.", errors=[{"pointer": "/x", "message": "no"}]), "urn:uuid:1")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.status_code == KINDS[code].status
    document = json.loads(bytes(answer.body))
    assert document == {
        "type": f"urn:ledgerbeat:problem:{code}",
        "title": KINDS[code].title,
        "status": KINDS[code].status,
        "code": code,
        "detail": "A sentence.",
        "errors": [{"pointer": "/x", "message": "no"}],
        "instance": "urn:uuid:1",
    }


def test_openapi_has_an_example_of_every_problem_that_an_operation_may_answer() -> None:
    shown = json.dumps(openapi.build()["paths"])
    # These two belong to no operation: an unknown path, and a method that no path has.
    for code in set(KINDS) - {"not_found", "method_not_allowed"}:
        assert f"urn:ledgerbeat:problem:{code}" in shown


@pytest.mark.parametrize("name", JOBS)
def test_openapi_has_a_path_and_an_accepted_example_for_each_job(name: str) -> None:
    operation = openapi.build()["paths"][f"/v1/jobs/{name}"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    for shown in examples.values():
        parse(name, shown["value"])


def test_every_reference_in_openapi_leads_somewhere() -> None:
    document = openapi.build()
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert names
    assert names <= set(document["components"]["schemas"])
    assert "$defs" not in text
