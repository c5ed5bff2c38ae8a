"""The sandbox provider as an ASGI app: routes, with the bearer check in front of them."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from ops.sandbox.config import SandboxConfig
from ops.sandbox.control import CONTROL_ROUTES
from ops.sandbox.problems import ProblemError, problem_answer, refuse, refuse_route, respond
from ops.sandbox.provider import Clock, Provider, utc_clock
from ops.sandbox.routes import ROUTES


def create_app(config: SandboxConfig, clock: Clock = utc_clock) -> Starlette:
    """The provider as an ASGI app. `app.state.provider` is the `Provider` inside."""
    provider = Provider(config, clock)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        provider.resume()
        yield
        await provider.close()

    app = Starlette(
        routes=[*ROUTES, *CONTROL_ROUTES],
        middleware=[Middleware(BearerOnly, api_key=config.api_key)],
        exception_handlers={ProblemError: refuse, HTTPException: refuse_route},
        lifespan=lifespan,
    )
    app.state.provider = provider
    return app


class BearerOnly:
    """Lets only `/healthz` through without `Authorization: Bearer <api key>`. Compares in constant time."""

    def __init__(self, app: ASGIApp, api_key: str) -> None:
        self._app = app
        self._expected = f"Bearer {api_key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != "/healthz" and not self._knows(scope):
            answer = problem_answer(401, "unauthenticated", "send Authorization: Bearer <api key>")
            await respond(answer, {"www-authenticate": "Bearer"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _knows(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._expected)
