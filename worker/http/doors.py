"""What the two doors share: a request as a door sees it, its answer, and the way from ASGI to it and back.

Nearly all requests take this way, so nothing stands on it that they do not need: no router, no response object.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import Receive, Scope, Send

from worker.http import problems
from worker.http.problems import Refusal
from worker.providers.headers import Headers

FACTS = "ledgerbeat.facts"
"""Where the scope keeps what the log line of its request will say."""

COMPLETE = "ledgerbeat.complete"
"""True in the scope once the whole body is there (see worker.http.wire): reading it then waits for nothing."""

JSON = (b"content-type", b"application/json")
BROKEN = Refusal("internal_error", "Nothing was promised; send it again with the same key.")

_compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(slots=True)
class Incoming:
    """One request at a door. `facts` are what its log line will say: ids and codes, no body, no token, no key."""

    scope: Scope
    receive: Receive
    headers: Headers
    facts: dict[str, Any]

    def segments(self, count: int) -> list[str]:
        """The last `count` segments of the path, decoded."""
        path: str = self.scope["path"]
        return path.rsplit("/", count)[1:]


Handler = Callable[[Incoming], Awaitable[dict[str, Any]]]
"""The members of the 202, once it is durable. Every other answer is a Refusal."""


class Door:
    """An ASGI app: calls the handler and sends its answer."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 500 for what is no Refusal, and lets it through then, to be told of."""
        facts: dict[str, Any] = scope[FACTS]
        try:
            members = await self._handler(Incoming(scope, receive, Headers(scope["headers"]), facts))
        except Refusal as refusal:
            await _refuse(refusal, facts, scope, receive, send)
        except Exception:
            await _refuse(BROKEN, facts, scope, receive, send)
            raise
        else:
            await _accept(_compact(members).encode(), send)


async def _accept(body: bytes, send: Send) -> None:
    headers = [(b"content-length", b"%d" % len(body)), JSON]
    await send({"type": "http.response.start", "status": 202, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(
    refusal: Refusal, facts: dict[str, Any], scope: Scope, receive: Receive, send: Send
) -> None:
    facts["code"] = refusal.kind.code
    await problems.response(refusal, facts["request_id"])(scope, receive, send)
