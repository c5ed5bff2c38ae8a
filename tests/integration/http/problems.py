"""What a refusal looks like."""

from typing import Any

import httpx


def check(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """It is the problem `code`, as RFC 9457 wants it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:ledgerbeat:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"].startswith("urn:uuid:")
    return problem
