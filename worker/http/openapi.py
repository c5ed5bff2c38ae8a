"""/openapi.json: what the shim takes and answers, built from the catalogue and the table of problems."""

from collections.abc import Mapping
from typing import Any

from worker.catalogue import JOBS
from worker.catalogue.describe import example, json_schema
from worker.http.limits import BODY_BYTES_MAX, WEBHOOK_BYTES_MAX
from worker.http.problems import KINDS, MEDIA_TYPE, Refusal, document

DESCRIPTION = (
    "The doors of Ledgerbeat: hand in a job or a webhook, and get 202 once it is recorded. Nothing can be read here; "
    "what became of a job comes back as a signed notification."
)
JOB_CODES = (
    "malformed_json", "missing_idempotency_key", "bad_idempotency_key", "unauthenticated", "tenant_paused",
    "unknown_job", "request_timeout", "body_too_large", "unsupported_media_type", "invalid_arguments",
    "idempotency_key_reused", "rate_limited", "internal_error", "not_accepted",
)  # fmt: skip
WEBHOOK_CODES = (
    "malformed_json", "bad_signature", "stale_signature", "unknown_provider", "request_timeout", "body_too_large",
    "internal_error", "not_accepted",
)  # fmt: skip

UUID_EXAMPLE = "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f"
RETRY_AFTER = {
    "description": "Seconds to wait",
    "schema": {"type": "integer", "minimum": 1},
    "required": True,
}
CHALLENGE = {"description": "How to authenticate", "schema": {"type": "string"}, "required": True}
HEADERS_BY_STATUS: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": CHALLENGE},
    429: {"Retry-After": RETRY_AFTER},
    503: {"Retry-After": RETRY_AFTER},
}
KEY_PARAMETER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "The same key with the same body is the same job, for ever. Printable ASCII.",
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$", "minLength": 1, "maxLength": 255},
    "example": "order-9001:credit",
}


def build() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ledgerbeat",
            "version": "1",
            "description": DESCRIPTION,
            "license": {"name": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": {**_job_paths(), **_webhook_paths(), **_plain_paths()},
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "A token; it names the tenant"}
            },
            "schemas": _schemas(),
        },
    }


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {"Job": _JOB, "Problem": _PROBLEM, "Webhook": _WEBHOOK}
    for name, schema in JOBS.items():
        arguments = json_schema(name)
        found |= arguments.pop("$defs", {})
        found[schema.__name__] = arguments
    return found


def _job_paths() -> dict[str, Any]:
    one_each = {f"/v1/jobs/{name}": {"post": _job_operation(name)} for name in JOBS}
    return {**one_each, "/v1/jobs/{name}": {"post": _any_job_operation()}}


def _job_operation(name: str) -> dict[str, Any]:
    schema = JOBS[name]
    return {
        "operationId": name,
        "tags": ["jobs"],
        "summary": (schema.__doc__ or name).splitlines()[0],
        "security": [{"token": []}],
        "parameters": [KEY_PARAMETER],
        "requestBody": _json_body({"$ref": f"#/components/schemas/{schema.__name__}"}, {name: example(name)}),
        "responses": _job_responses(name),
    }


def _any_job_operation() -> dict[str, Any]:
    schemas = [{"$ref": f"#/components/schemas/{schema.__name__}"} for schema in JOBS.values()]
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": list(JOBS)}}
    return {
        "operationId": "jobs.accept",
        "tags": ["jobs"],
        "summary": "Any job by its name; the paths above say which arguments belong to which.",
        "security": [{"token": []}],
        "parameters": [{**name, "example": "wallets.credit"}, KEY_PARAMETER],
        "requestBody": _json_body({"anyOf": schemas}, {name: example(name) for name in JOBS}),
        "responses": _job_responses("wallets.credit"),
    }


def _job_responses(name: str) -> dict[str, Any]:
    job = {"job_id": UUID_EXAMPLE, "name": name, "state": "queued", "duplicate": False}
    accepted = {
        "description": "Recorded and committed; duplicate says that it was there before",
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Job"}, "example": job}},
    }
    return {"202": accepted, **_problems(JOB_CODES)}


def _webhook_paths() -> dict[str, Any]:
    text = {"type": "string", "minLength": 1}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": text, "example": value}
        for name, value in (("tenant", "acme"), ("provider", "sandbox"))
    ]
    received = {
        "description": "Kept, and a job recorded for each event; duplicate says that all were there before. "
        "Nothing is received where nothing had to be signed: an Adyen report notice without a signature",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Webhook"},
                "example": {"received": 1, "duplicate": False},
            }
        },
    }
    operation = {
        "operationId": "webhooks.receive",
        "tags": ["webhooks"],
        "summary": "A provider's webhook: the raw body, signed as that provider signs.",
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "description": f"At most {WEBHOOK_BYTES_MAX} bytes",
            "content": {"*/*": {"schema": {}}},
        },
        "responses": {"202": received, **_problems(WEBHOOK_CODES)},
    }
    return {"/v1/webhooks/{tenant}/{provider}": {"post": operation}}


def _plain_paths() -> dict[str, Any]:
    return {
        "/healthz": _get(
            "alive", "Is this process alive?", _json({"type": "object", "required": ["status"]})
        ),
        "/readyz": _get(
            "ready",
            "Database reachable and migrated?",
            _json({"type": "object"}),
            **_problems(("not_ready",)),
        ),
        "/metrics": _get("metrics", "For Prometheus.", {"text/plain": {"schema": {"type": "string"}}}),
        "/openapi.json": _get(
            "openapi", "This document.", _json({"type": "object", "required": ["openapi"]})
        ),
    }


def _get(name: str, summary: str, content: dict[str, Any], **others: Any) -> dict[str, Any]:
    responses = {"200": {"description": "Yes", "content": content}, **others}
    return {"get": {"operationId": name, "tags": ["operations"], "summary": summary, "responses": responses}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _json_body(schema: dict[str, Any], examples: dict[str, Any]) -> dict[str, Any]:
    shown = {name: {"value": value} for name, value in examples.items()}
    return {
        "required": True,
        "description": f"At most {BODY_BYTES_MAX} bytes, UTF-8",
        "content": {"application/json": {"schema": schema, "examples": shown}},
    }


def _problems(codes: tuple[str, ...]) -> dict[str, Any]:
    """One response per status, with an example of each code."""
    statuses = sorted({KINDS[code].status for code in codes})
    return {
        str(status): _problem(status, [c for c in codes if KINDS[c].status == status]) for status in statuses
    }


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    schema = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"code": {"enum": codes}}}],
    }
    examples = {code: {"value": document(_example_refusal(code))} for code in codes}
    found: dict[str, Any] = {
        "description": "; ".join(KINDS[code].title for code in codes),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }
    return {**found, "headers": HEADERS_BY_STATUS[status]} if status in HEADERS_BY_STATUS else found


def _example_refusal(code: str) -> Refusal:
    errors = (
        [{"pointer": "/amount_minor", "message": "A JSON integer is expected."}]
        if code == "invalid_arguments"
        else []
    )
    return Refusal(code, f"{KINDS[code].title}.", errors=errors)


_JOB = {
    "type": "object",
    "required": ["job_id", "name", "state", "duplicate"],
    "additionalProperties": False,
    "properties": {
        "job_id": {"type": "string", "format": "uuid"},
        "name": {"type": "string"},
        "state": {
            "type": "string",
            "enum": ["queued", "running", "done", "refused", "cooling", "parked", "dead", "cancelled"],
        },
        "duplicate": {"type": "boolean"},
    },
}
_WEBHOOK = {
    "type": "object",
    "required": ["received", "duplicate"],
    "additionalProperties": False,
    "properties": {"received": {"type": "integer", "minimum": 0}, "duplicate": {"type": "boolean"}},
}
_PROBLEM = {
    "description": "RFC 9457; `code` is stable, the texts are not",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "enum": list(KINDS)},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "message"],
                "properties": {
                    "pointer": {"type": "string", "description": "RFC 6901, into the arguments"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
