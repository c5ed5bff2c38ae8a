"""Refusals: every status and code that the shim answers with, as RFC 9457 problem documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import JSONResponse, Response

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """One row of the contract's table: `code` is stable, `title` is for people."""

    code: str
    status: int
    title: str


_KINDS = (
    Kind("malformed_json", 400, "The body is not a JSON object"),
    Kind("missing_idempotency_key", 400, "The header Idempotency-Key is missing"),
    Kind("bad_idempotency_key", 400, "The header Idempotency-Key is unusable"),
    Kind("unauthenticated", 401, "The token is missing or wrong"),
    Kind("bad_signature", 401, "The signature is missing or wrong"),
    Kind("stale_signature", 401, "The signature is too old or from the future"),
    Kind("tenant_paused", 403, "The tenant is paused"),
    Kind("not_found", 404, "There is nothing here"),
    Kind("unknown_job", 404, "There is no job of this name"),
    Kind("unknown_provider", 404, "There is no provider of this name"),
    Kind("method_not_allowed", 405, "The method is not allowed here"),
    Kind("request_timeout", 408, "The body did not arrive in time"),
    Kind("body_too_large", 413, "The body is too large"),
    Kind("unsupported_media_type", 415, "The content type is not application/json"),
    Kind("invalid_arguments", 422, "The arguments do not fit the job's schema"),
    Kind("idempotency_key_reused", 422, "The key belongs to another request"),
    Kind("rate_limited", 429, "Too many requests"),
    Kind("internal_error", 500, "Something broke here"),
    Kind("not_accepted", 503, "Nothing was recorded"),
    Kind("not_ready", 503, "This process cannot accept anything now"),
)
KINDS: Mapping[str, Kind] = {kind.code: kind for kind in _KINDS}
"""Code -> its status and title."""


class Refusal(Exception):
    """Ends a request with the problem `code`. `detail` is one sentence that quotes nothing of the request."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.kind = KINDS[code]
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})


def document(refusal: Refusal, instance: str | None = None) -> dict[str, Any]:
    """The members of the problem document. `instance` is the request's id, as in the access log."""
    members: dict[str, Any] = {
        "type": f"urn:ledgerbeat:problem:{refusal.kind.code}",
        "title": refusal.kind.title,
        "status": refusal.kind.status,
        "code": refusal.kind.code,
        "detail": refusal.detail,
    }
    if refusal.errors:
        members["errors"] = [dict(error) for error in refusal.errors]
    if instance:
        members["instance"] = instance
    return members


def response(refusal: Refusal, instance: str | None = None) -> Response:
    """The HTTP response of a refusal."""
    return JSONResponse(
        document(refusal, instance),
        status_code=refusal.kind.status,
        headers=refusal.headers,
        media_type=MEDIA_TYPE,
    )


def rate_limited(retry_after_seconds: int) -> Refusal:
    return Refusal(
        "rate_limited",
        "The tenant's rate is used up for the moment; the header Retry-After says in how many seconds to come back.",
        headers={"Retry-After": str(retry_after_seconds)},
    )


def not_accepted(retry_after_seconds: int = 1) -> Refusal:
    return Refusal(
        "not_accepted",
        "The database did not confirm the request. Send it again with the same key: it takes effect once.",
        headers={"Retry-After": str(retry_after_seconds)},
    )


def unauthenticated() -> Refusal:
    """One answer for a token that is missing, malformed or unknown."""
    return Refusal(
        "unauthenticated",
        "A valid token is expected: Authorization: Bearer <token>.",
        headers={"WWW-Authenticate": 'Bearer realm="ledgerbeat"'},
    )
