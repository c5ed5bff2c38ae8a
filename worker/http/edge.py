"""The outermost layer: one id, one log line and one count per request; headers; no connection left half-read.

The doors stand here too, before the router, which costs more than all of this.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from worker.http import problems
from worker.http.doors import FACTS
from worker.http.limits import BODY_BYTES_MAX
from worker.http.metrics import Metrics
from worker.http.problems import Refusal
from worker.telemetry import describe_error

HEADERS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
CLOSE = (b"connection", b"close")
LINGER_SECONDS_MAX = 1.0
LINGER_BYTES_MAX = 4 * 1024 * 1024
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PLAIN_PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/openapi.json"})

log = structlog.get_logger("ledgerbeat.http")

Doors = Mapping[tuple[str, int], ASGIApp]
"""The first part of a path, and how many segments follow it -> who takes what is sent there by POST."""

Tell = Callable[..., object]
"""Writes one log line: the event, and its fields by keyword."""


def facts(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """What the log line of this request will say. Ids and codes only: no body, no token, no key."""
    found: dict[str, Any] = scope[FACTS]
    return found


class _Exchange:
    """One request and its answer."""

    __slots__ = ("_receive", "_scope", "_send", "body_complete", "closing", "status")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self.status = 0
        self.body_complete = False
        self.closing = False

    async def read(self) -> Message:
        message = await self._receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            self.body_complete = True
        return message

    async def write(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._start(message)
        elif self.closing and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            await self._send({"type": "http.response.body"})
        else:
            await self._send(message)

    async def _start(self, message: Message) -> None:
        self.status = message["status"]
        self.closing = not self.body_complete and self._should_close()
        headers = [*message.get("headers", ()), *HEADERS]
        await self._send({**message, "headers": [*headers, CLOSE] if self.closing else headers})

    def _should_close(self) -> bool:
        """Whether the unread rest of the body may be long, or may never come."""
        headers = dict(self._scope["headers"])
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
    """ASGI middleware around everything. `tell` writes the line of each request; by default as any other line."""

    def __init__(self, app: ASGIApp, metrics: Metrics, doors: Doors, tell: Tell | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._doors = doors
        self._tell = tell or log.info

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started_at = time.perf_counter()
        scope[FACTS] = {"request_id": request_id()}
        exchange = _Exchange(scope, receive, send)
        try:
            await self._app_for(scope)(scope, exchange.read, exchange.write)
        except Exception as error:  # noqa: BLE001 - whoever let this through has answered 500 before
            log.error("http.request.broken", error=describe_error(error), **facts(scope))  # noqa: TRY400
        finally:
            self._account(scope, exchange.status, time.perf_counter() - started_at)

    def _app_for(self, scope: Scope) -> ASGIApp:
        if doubt := _doubt(scope):
            return _refusing(doubt)
        door = self._doors.get(_address(scope["path"])) if scope["method"] == "POST" else None
        return door or self._app

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route, method, said = route_label(scope["path"]), scope["method"], scope[FACTS]
        shown = method if method in METHODS else "other"
        self._metrics.count_request(route, shown, status, seconds)
        if code := said.get("code"):
            self._metrics.refused.labels(route, code).inc()
        tell = log.debug if status == 200 and route.startswith("/") else self._tell
        tell(
            "http.request",
            route=route,
            method=shown,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            **said,
        )


def request_id() -> str:
    """A random UUID (version 4) as a URN."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"urn:uuid:{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def _address(path: str) -> tuple[str, int]:
    """`/v1/jobs/x` -> (`/v1/jobs`, 1), `/v1/webhooks/x/y` -> (`/v1/webhooks`, 2): a door's, if none is empty."""
    parts = path.split("/")
    return "/".join(parts[:3]), len(parts) - 3 if all(parts[1:]) else 0


def _doubt(scope: Scope) -> str | None:
    """Why it is not certain where this request ends or whom it is for; a parser may let such a thing pass.

    A proxy before us may have read it otherwise, and what follows may be a stranger's (RFC 9112, 6.1 and 3.2).
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    names = [name for name, _ in headers]
    if b"transfer-encoding" in names:
        if b"content-length" in names:
            return "Content-Length and Transfer-Encoding are given together."
        if [value.lower() for name, value in headers if name == b"transfer-encoding"] != [b"chunked"]:
            return "The one Transfer-Encoding that is taken is: chunked."
    if names.count(b"host") != 1 and (b"host" in names or scope["http_version"] == "1.1"):
        return "The header Host must be given once."
    return None


def _refusing(detail: str) -> ASGIApp:
    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        noted = facts(scope)
        noted["code"] = "malformed_json"
        refusal = Refusal("malformed_json", detail, headers={"Connection": "close"})
        await problems.response(refusal, noted["request_id"])(scope, receive, send)

    return refuse


def route_label(path: str) -> str:
    """A small set of names, whatever strangers ask for."""
    if path in PLAIN_PATHS:
        return path
    for door in ("jobs", "webhooks"):
        if path.startswith(f"/v1/{door}/"):
            return door
    return "none"
