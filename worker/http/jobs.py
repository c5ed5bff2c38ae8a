"""The job door: POST /v1/jobs/{name}. The cheapest checks come first; nothing is read for a stranger."""

from collections.abc import Mapping
from typing import Any

from models.errors import InvalidArguments
from models.jobs.accept import KEY, Accepted, JobRequest, Rejected
from worker.catalogue import JOBS, parse
from worker.http.batching import Batcher, NotRecorded
from worker.http.credentials import Caller, Tokens
from worker.http.doors import Incoming
from worker.http.limits import BODY_BYTES_MAX, RateLimit, check_announced_length, read_body
from worker.http.metrics import Metrics
from worker.http.problems import Refusal, not_accepted
from worker.http.recording import Submission
from worker.providers.strict_json import StrictJsonError, loads_strict

REJECTIONS: Mapping[str, str] = {
    "tenant_paused": "The tenant takes no new jobs until it is resumed.",
    "idempotency_key_reused": "This key was used before for another job, or with other arguments.",
    "bad_idempotency_key": "An Idempotency-Key of 1 to 255 printable ASCII characters is expected.",
}


class JobDoor:
    """Checks a request, has it recorded, answers."""

    def __init__(self, tokens: Tokens, rate_limit: RateLimit, batcher: Batcher, metrics: Metrics) -> None:
        self._tokens = tokens
        self._rate_limit = rate_limit
        self._batcher = batcher
        self._metrics = metrics

    async def post(self, request: Incoming) -> dict[str, Any]:
        """The job, once it is durable; every other answer is a Refusal."""
        caller = self._caller(request)
        self._rate_limit.take(caller.tenant)
        name = _known_name(request)
        check_announced_length(request, BODY_BYTES_MAX)
        check_media_type(request)
        key = idempotency_key(request)
        args = _checked_arguments(name, await read_body(request, BODY_BYTES_MAX))
        answer = await self._record(JobRequest(caller.tenant.name, name, "app", key, args))
        self._metrics.count_answer(caller.tenant.name, name, answer)
        return _members(request, answer)

    def _caller(self, request: Incoming) -> Caller:
        caller = self._tokens.caller(request.headers.all("authorization"))
        self._metrics.count_token(caller.tenant.name, caller.token_index)
        request.facts["tenant"] = caller.tenant.name
        return caller

    async def _record(self, job: JobRequest) -> Accepted | Rejected:
        try:
            recorded = await self._batcher.submit(Submission((job,)))
        except NotRecorded:
            raise not_accepted() from None
        return recorded.answers[0]


def check_media_type(request: Incoming) -> None:
    """JSON in UTF-8, not compressed. Raises Refusal(unsupported_media_type)."""
    given = request.headers.all("content-type")
    media_type, *parameters = given[0].lower().split(";") if len(given) == 1 else [""]
    charsets = [value.strip() for value in parameters if value.strip().startswith("charset=")]
    encodings = set(request.headers.all("content-encoding")) - {"", "identity"}
    if (
        media_type.strip() != "application/json"
        or set(charsets) - {"charset=utf-8", 'charset="utf-8"'}
        or encodings
    ):
        raise Refusal(
            "unsupported_media_type",
            "Content-Type: application/json in UTF-8 is expected, without Content-Encoding.",
        )


def idempotency_key(request: Incoming) -> str:
    """The key. Raises Refusal(missing_idempotency_key, bad_idempotency_key)."""
    keys = request.headers.all("idempotency-key")
    if not keys:
        raise Refusal(
            "missing_idempotency_key",
            "The header Idempotency-Key is required: the same key again is the same job.",
        )
    if len(keys) > 1 or not KEY.fullmatch(keys[0]):
        raise Refusal(
            "bad_idempotency_key", "One Idempotency-Key of 1 to 255 printable ASCII characters is expected."
        )
    return keys[0]


def _known_name(request: Incoming) -> str:
    [name] = request.segments(1)
    if name not in JOBS:
        raise Refusal("unknown_job", "No job has this name; /openapi.json lists them.")
    request.facts["job"] = name
    return name


def _checked_arguments(name: str, body: bytes) -> Mapping[str, Any]:
    """The body's object, which fits the schema. Raises Refusal(malformed_json, invalid_arguments)."""
    try:
        args = loads_strict(body)
    except StrictJsonError as error:
        raise Refusal("malformed_json", str(error)) from None
    if not isinstance(args, dict):
        raise Refusal("malformed_json", "The body must be a JSON object.")
    try:
        parse(name, args)
    except InvalidArguments as error:
        raise Refusal(
            "invalid_arguments",
            "The member errors points at each argument that is wrong.",
            errors=error.errors,
        ) from None
    return args


def _members(request: Incoming, answer: Accepted | Rejected) -> dict[str, Any]:
    if isinstance(answer, Rejected):
        raise rejection(answer)
    job_id = str(answer.job_id)
    request.facts.update(job_id=job_id, duplicate=answer.duplicate)
    return {"job_id": job_id, "name": answer.name, "state": answer.state, "duplicate": answer.duplicate}


def rejection(answer: Rejected) -> Refusal:
    """What accept() said. A tenant that only the database does not know yet is our trouble: come again."""
    code = answer.error.code
    return Refusal(code, REJECTIONS[code]) if code in REJECTIONS else not_accepted()
