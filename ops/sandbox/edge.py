"""The provider's edge, where calls get lost: timeouts, 500s, throttling and garbage."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from ops.sandbox.faults import Fault
from ops.sandbox.problems import problem_answer, respond
from ops.sandbox.state import Answer

GARBAGE = b"<html><body>It works!</body></html>\xff"


async def through_edge(
    fault: Fault | None, request: Request, hang_seconds: float, process: Callable[[], Answer]
) -> Response:
    """Process and answer as the fault lets us: `slow` and `..._after` process first, then answer late or never;
    `slow_before` takes its time, then does both."""
    name = fault.name if fault else None
    if name == "rate_limit":
        return _throttled(int(fault.number) if fault else 1)
    if name == "error_500":
        return _broken()
    if name == "timeout_before":
        return await _hang(request, hang_seconds)
    if fault and name == "slow_before":
        await asyncio.sleep(fault.number)
    answer = process()
    if name == "timeout_after":
        return await _hang(request, hang_seconds)
    if name == "error_500_after":
        return _broken()
    if name == "garbage":
        return Response(GARBAGE, answer.status, media_type="text/html")
    if name == "slow":
        await asyncio.sleep(fault.number if fault else 0)
    return respond(answer)


def _throttled(seconds: int) -> Response:
    answer = problem_answer(429, "rate_limited", f"try again in {seconds} s")
    return respond(answer, {"retry-after": str(seconds)})


def _broken() -> Response:
    return respond(problem_answer(500, "internal_error", "something went wrong here"))


async def _hang(request: Request, seconds: float) -> Response:
    """Keep the caller waiting until it gives up, or answer 504 at last."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while (await request.receive())["type"] != "http.disconnect":
                pass
    return respond(problem_answer(504, "gateway_timeout", "no answer in time"))
