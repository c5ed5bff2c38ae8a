"""The HTTP shim: verify, record, nudge, answer. It runs no job, and reads nothing back.

Run it with `uvicorn --factory worker.http.app:create_app --http worker.http.wire:Wire --no-access-log`, with as many
`--workers` as there are cores (and then `--timeout-worker-healthcheck 60`, or uvicorn kills children that are still
importing on a busy machine): the processes share nothing but the database. Without `--http` it works too, and then
the length of a request's headers has no bound here: let a proxy before it set one.
"""

import threading
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager

import structlog
from prometheus_client import disable_created_metrics, start_http_server
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from models.tenants import sync_tenants
from worker.collecting import collect_seldom
from worker.database import connect_args_of, make_engine
from worker.http import problems
from worker.http.batching import Batcher, Unreachable
from worker.http.credentials import Senders, Tokens
from worker.http.doors import BROKEN, Door
from worker.http.edge import Doors, Edge, Tell, facts
from worker.http.gauges import DatabaseGauges
from worker.http.jobs import JobDoor
from worker.http.limits import RateLimit
from worker.http.metrics import Metrics
from worker.http.nudging import NudgeThread
from worker.http.operations import Operations
from worker.http.problems import Refusal
from worker.http.readiness import ReadinessCheck
from worker.http.recording import Submission
from worker.http.webhooks import WebhookDoor
from worker.http.writing import Connect, DatabaseWriter, connector
from worker.resources import Resources
from worker.settings import Settings, SettingsError, load_settings
from worker.telemetry import JsonLines, configure_logging, describe_error

Nudge = Callable[[Collection[str]], object]
"""Says that these tenants have work; may take its time."""

STATEMENT_SECONDS = 5
PROBE_SECONDS = 2

log = structlog.get_logger("ledgerbeat.http")


def create_app() -> ASGIApp:
    """The ASGI application of this process, from the environment. Ends the process when a setting is wrong."""
    try:
        settings = load_settings()
        configure_logging(settings.log_format)
        disable_created_metrics()  # type: ignore[no-untyped-call]
        collect_seldom()
        lines = JsonLines("ledgerbeat.http") if settings.log_format == "json" else None
        return build_app(settings, nudge=Resources(settings).nudger.nudge, tell=lines.info if lines else None)
    except SettingsError as error:
        raise SystemExit(f"ledgerbeat: {error}") from None


def build_app(settings: Settings, *, nudge: Nudge, tell: Tell | None = None) -> ASGIApp:
    """The ASGI application. Nothing is connected or started before its lifespan. Raises SettingsError.

    `tell` writes the log line of each request; by default structlog does.
    """
    shim = Shim(settings, nudge)
    app = Starlette(
        routes=_routes(shim),
        lifespan=shim.lifespan,
        exception_handlers={Refusal: _refuse, HTTPException: _refuse_route, Exception: _refuse_broken},
    )
    app.router.redirect_slashes = False
    return Edge(app, shim.metrics, shim.doors, tell)


class Shim:
    """The parts of one process, and their start and stop."""

    def __init__(self, settings: Settings, nudge: Nudge) -> None:
        tenants = settings.tenants
        self._settings = settings
        self._probe_engine = _engine(settings, 2, PROBE_SECONDS)
        self._engine = _engine(settings, 1, STATEMENT_SECONDS)
        self._writer = DatabaseWriter(_connector(settings), self._introduce_tenants)
        self._nudges = NudgeThread(nudge)
        self._batcher = Batcher(self._writer, committed=self._committed)
        self.metrics = Metrics()
        self.metrics.waiting.set_function(self._batcher.waiting)
        self.metrics.add(DatabaseGauges(self._probe_engine).families)
        jobs = JobDoor(Tokens(tenants), RateLimit(), self._batcher, self.metrics)
        webhooks = WebhookDoor(Senders(tenants), self._batcher, self.metrics)
        self.doors: Doors = {("/v1/jobs", 1): Door(jobs.post), ("/v1/webhooks", 2): Door(webhooks.post)}
        broker_url = settings.broker_url or settings.redis_url
        self.operations = Operations(ReadinessCheck(self._probe_engine, broker_url), self.metrics)

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:  # noqa: ARG002 - Starlette hands it in
        self._nudges.start()
        self._batcher.start()
        threading.Thread(target=self._introduce_early, name="tenants", daemon=True).start()
        stop_metrics = self._serve_metrics()
        yield
        stop_metrics()
        await self._batcher.stop()
        await self._writer.close()
        self._nudges.stop()
        self._engine.dispose()
        self._probe_engine.dispose()

    def _committed(self, submissions: Sequence[Submission]) -> None:
        self.metrics.commits.observe(len(submissions))
        self._nudges.hand_over({request.tenant for s in submissions for request in s.requests})

    def _introduce_tenants(self) -> None:
        """Make the configured tenants known. Raises Unreachable, SQLAlchemyError (not migrated, for one)."""
        zones = {name: tenant.timezone for name, tenant in self._settings.tenants.items()}
        try:
            connection = self._engine.connect()
        except (DBAPIError, PoolTimeoutError) as error:
            raise Unreachable(type(error).__name__) from None
        with connection, Session(connection) as session, session.begin():
            sync_tenants(session, zones)

    def _introduce_early(self) -> None:
        """At the start when the database is there; else the first write does it."""
        try:
            self._introduce_tenants()
        except (Unreachable, SQLAlchemyError) as error:
            log.warning("http.tenants.not_synced", error=describe_error(error))
        else:
            self._writer.introduced()

    def _serve_metrics(self) -> Callable[[], None]:
        """/metrics on a port of its own, when one is set. Returns what stops it."""
        port = self._settings.metrics_port
        if port is None:
            return _nothing
        try:
            server, thread = start_http_server(port, registry=self.metrics.registry)
        except OSError as error:
            # Several processes (`--workers`) cannot share it: the first has it, each still answers /metrics.
            log.warning("http.metrics.port_taken", port=port, error=error.strerror)
            return _nothing

        def stop() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return stop


def _nothing() -> None:
    return None


def _engine(settings: Settings, connections: int, statement_seconds: int) -> Engine:
    return make_engine(
        settings.require_database_url(),
        role=settings.database_role,
        pool_size=connections,
        statement_seconds=statement_seconds,
        prepared_statements=settings.prepared_statements,
    )


def _connector(settings: Settings) -> Connect:
    connect_args = connect_args_of(
        settings.require_database_url(),
        statement_seconds=STATEMENT_SECONDS,
        prepared_statements=settings.prepared_statements,
    )
    return connector(connect_args, settings.database_role)


def _routes(shim: Shim) -> list[Route]:
    return [
        # The edge takes the way to the doors by itself; the router knows which methods and addresses there are.
        Route("/v1/jobs/{name}", shim.doors["/v1/jobs", 1], methods=["POST"]),
        Route("/v1/webhooks/{tenant}/{provider}", shim.doors["/v1/webhooks", 2], methods=["POST"]),
        Route("/healthz", shim.operations.alive),
        Route("/readyz", shim.operations.ready),
        Route("/metrics", shim.operations.metrics),
        Route("/openapi.json", shim.operations.openapi),
    ]


async def _refuse(request: Request, refusal: Exception) -> Response:
    if not isinstance(refusal, Refusal):
        raise TypeError("a Refusal was expected")
    noted = facts(request.scope)
    noted["code"] = refusal.kind.code
    return problems.response(refusal, noted["request_id"])


async def _refuse_route(request: Request, error: Exception) -> Response:
    """What the router says: nothing here, or not with this method."""
    headers = getattr(error, "headers", None) or {}
    if "Allow" not in headers:
        return await _refuse(
            request, Refusal("not_found", "There is nothing at this address; see /openapi.json.")
        )
    allowed = ", ".join(sorted(headers["Allow"].split(", ")))
    refusal = Refusal("method_not_allowed", f"Allowed here: {allowed}.", headers={"Allow": allowed})
    return await _refuse(request, refusal)


async def _refuse_broken(request: Request, _error: Exception) -> Response:
    return await _refuse(request, BROKEN)
