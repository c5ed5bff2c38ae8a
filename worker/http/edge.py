"""The outermost layer: one id, one log line and one count per request; headers; no connection left half-read."""

import asyncio
import time
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.http import problems
from worker.http.limits import BODY_BYTES_MAX
from worker.http.metrics import Metrics
from worker.http.problems import Refusal
from worker.telemetry import describe_error

FACTS = "ledgerbeat.facts"
HEADERS = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))
CLOSE = (b"connection", b"close")
LINGER_SECONDS_MAX = 1.0
LINGER_BYTES_MAX = 4 * 1024 * 1024
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PLAIN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})

log = structlog.get_logger("ledgerbeat.http")


def facts(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """What the log line of this request will say. Ids and codes only: no body, no token, no key."""
    found: dict[str, Any] = scope[FACTS]
    return found


@dataclass(slots=True)
class _Exchange:
    """One request and its answer."""

    scope: Scope
    receive: Receive
    send: Send
    started_at: float = field(default_factory=time.perf_counter)
    status: int = 0
    body_complete: bool = False
    closing: bool = False

    async def read(self) -> Message:
        message = await self.receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.body_complete = True
        return message

    async def write(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self.closing and not message.get("more_body", False):
            await self.send({**message, "more_body": True})
            await self._linger()
            await self.send({"type": "http.response.body"})
        else:
            await self.send(message)

    async def _start(self, message: Message) -> None:
        self.status = message["status"]
        self.closing = not self.body_complete and self._should_close()
        added = (*HEADERS, CLOSE) if self.closing else HEADERS
        await self.send({**message, "headers": [*message.get("headers", ()), *added]})

    def _should_close(self) -> bool:
        """Whether the unread rest of the body may be long, or may never come."""
        headers = dict(self.scope["headers"])
        length = headers.get(b"content-length", b"0")
        too_long = not length.isdigit() or int(length[:20]) > BODY_BYTES_MAX
        return too_long or self.status == 408 or b"transfer-encoding" in headers

    async def _linger(self) -> None:
        """Take in some of what is still being sent: closing at once would cut off the answer before it is read."""
        left = LINGER_BYTES_MAX
        try:
            async with asyncio.timeout(LINGER_SECONDS_MAX):
                while left > 0 and not self.body_complete:
                    left -= len((await self.read()).get("body", b""))
        except TimeoutError:
            return


class Edge:
    """ASGI middleware around everything."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope[FACTS] = {"request_id": uuid4().urn}
        exchange = _Exchange(scope, receive, send)
        app = _refuse_two_lengths if _says_two_lengths(scope) else self._app
        try:
            await app(scope, exchange.read, exchange.write)
        except Exception as error:  # noqa: BLE001 - Starlette has answered 500 before it let this through
            log.error("http.request.broken", error=describe_error(error), **facts(scope))  # noqa: TRY400
        finally:
            self._account(exchange)

    def _account(self, exchange: _Exchange) -> None:
        scope, seconds = exchange.scope, time.perf_counter() - exchange.started_at
        route, method = route_label(scope["path"]), scope["method"]
        shown = method if method in METHODS else "other"
        self._metrics.requests.labels(route, shown, str(exchange.status)).inc()
        self._metrics.seconds.labels(route).observe(seconds)
        if code := facts(scope).get("code"):
            self._metrics.refused.labels(route, code).inc()
        write = log.debug if route.startswith("/") and exchange.status == 200 else log.info
        write(
            "http.request",
            route=route,
            method=shown,
            status=exchange.status,
            milliseconds=round(seconds * 1000, 1),
            **facts(scope),
        )


def _says_two_lengths(scope: Scope) -> bool:
    names = {name for name, _ in scope["headers"]}
    return {b"content-length", b"transfer-encoding"} <= names


async def _refuse_two_lengths(scope: Scope, receive: Receive, send: Send) -> None:
    """A proxy before us may have believed the other one, and what follows may be a stranger's (RFC 9112, 6.1)."""
    noted = facts(scope)
    noted["code"] = "malformed_json"
    refusal = Refusal("malformed_json", "Content-Length and Transfer-Encoding are given together.")
    await problems.response(refusal, noted["request_id"])(scope, receive, send)


def route_label(path: str) -> str:
    """A small set of names, whatever strangers ask for."""
    if path in PLAIN_PATHS:
        return path
    for door in ("jobs", "webhooks"):
        if path.startswith(f"/v1/{door}/"):
            return door
    return "none"
