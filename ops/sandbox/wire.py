"""What the routes share: the provider behind a request, its body, its key, the way through the edge."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from starlette.requests import Request
from starlette.responses import Response

from ops.sandbox.edge import through_edge
from ops.sandbox.faults import Where
from ops.sandbox.keys import once
from ops.sandbox.provider import Provider
from ops.sandbox.requests import read_json
from ops.sandbox.state import Answer


def provider_of(request: Request) -> Provider:
    return cast("Provider", request.app.state.provider)


async def opened(request: Request) -> tuple[Provider, dict[str, Any]]:
    """The provider and the JSON object sent to it. Raises `ProblemError`."""
    provider = provider_of(request)
    return provider, await read_json(request, provider.config.body_limit_bytes)


def keyed(request: Request, key: str | None, body: dict[str, Any], process: Callable[[], Answer]) -> Answer:
    """Process once per key and path. Raises `ProblemError` 422 for the same key with another body."""
    provider = provider_of(request)
    kept_as = None if key is None else f"{request.url.path}:{key}"
    retention = timedelta(seconds=provider.config.key_retention_seconds)
    return once(provider.state, kept_as, body, retention, provider.now(), process)


async def at_edge(
    request: Request, where: Where, process: Callable[[], Answer], token: str | None = None, subject: str = ""
) -> Response:
    """Process behind the edge fault that this call meets, if any."""
    provider = provider_of(request)
    fault = provider.faults.take("edge", where, token, subject)
    return await through_edge(fault, request, provider.config.hang_seconds, process)
