"""The provider's errors: RFC 9457 problem documents with a stable `code`."""

from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ops.sandbox.state import Answer


class ProblemError(Exception):
    """A request is refused and nothing happened. `status` and `code` are stable, `detail` is for people."""

    def __init__(self, status: int, code: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.answer = problem_answer(status, code, detail, **more)


def problem_answer(status: int, code: str, detail: str, **more: Any) -> Answer:
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "code": code, "detail": detail}
    return Answer(status, body | more)


def respond(answer: Answer, headers: dict[str, str] | None = None) -> Response:
    media = "application/json" if answer.status < 400 else "application/problem+json"
    return JSONResponse(answer.body, answer.status, headers, media_type=media)


async def refuse(_: Request, exc: Exception) -> Response:
    """Starlette's handler for `ProblemError`."""
    if not isinstance(exc, ProblemError):
        raise exc
    return respond(exc.answer)


async def refuse_route(_: Request, exc: Exception) -> Response:
    """Starlette's handler for its own 404 and 405."""
    status = getattr(exc, "status_code", 500)
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "error")
    return respond(problem_answer(status, code, HTTPStatus(status).phrase), getattr(exc, "headers", None))
