"""What operators ask: /healthz, /readyz, /metrics, /openapi.json."""

import asyncio
import json

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from worker.http import openapi, problems
from worker.http.edge import facts
from worker.http.metrics import CONTENT_TYPE, Metrics
from worker.http.readiness import ReadinessCheck


class Operations:
    """Open to anyone who reaches the port; nothing here names an owner or an amount."""

    def __init__(self, readiness: ReadinessCheck, metrics: Metrics) -> None:
        self._readiness = readiness
        self._metrics = metrics
        self._openapi = json.dumps(openapi.build(), separators=(",", ":")).encode()

    async def alive(self, request: Request) -> Response:  # noqa: ARG002 - Starlette hands it in
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """200, or 503 with the same members in a problem document."""
        found = await self._readiness.look()
        states = {"database": found.database, "broker": found.broker}
        if found.ready:
            return JSONResponse({"status": "ready", **states})
        noted = facts(request.scope)
        noted.update(code="not_ready", **states)
        refusal = problems.Refusal(
            "not_ready", f"The database is {found.database}.", headers={"Retry-After": "1"}
        )
        return JSONResponse(
            problems.document(refusal, noted["request_id"]) | states,
            status_code=refusal.kind.status,
            headers=refusal.headers,
            media_type=problems.MEDIA_TYPE,
        )

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002
        """Always 200: without the database it says so."""
        return Response(await asyncio.to_thread(self._metrics.text), headers={"content-type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:  # noqa: ARG002
        return Response(self._openapi, media_type="application/json")
