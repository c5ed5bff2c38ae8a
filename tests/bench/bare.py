"""What anyone would write first: a Starlette endpoint that checks the signature and INSERTs, one commit per request."""

import asyncio
import base64
import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

CONNECTIONS = 10
KEEP = """
    INSERT INTO webhook_deliveries (tenant, provider, event_keys, body_sha256, body, secret_index, received_at)
    VALUES ('acme', 'sandbox', %s, %s, %s, 0, now()) ON CONFLICT DO NOTHING
"""
SECRET = base64.b64decode(os.environ["BENCH_SECRET"].removeprefix("whsec_"))

free: "asyncio.Queue[psycopg.AsyncConnection[tuple[object, ...]]]" = asyncio.Queue()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    url = os.environ["LEDGERBEAT_DATABASE_URL"].replace("+psycopg", "")
    for _number in range(CONNECTIONS):
        free.put_nowait(await psycopg.AsyncConnection.connect(url, autocommit=True))
    yield
    while not free.empty():
        await free.get_nowait().close()


async def webhook(request: Request) -> Response:
    body, headers = await request.body(), request.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = base64.b64encode(hmac.digest(SECRET, signed, "sha256")).decode()
    if not hmac.compare_digest(headers["webhook-signature"], f"v1,{digest}"):
        return JSONResponse({"error": "bad signature"}, 401)
    connection = await free.get()
    try:
        await connection.execute(KEEP, ([json.loads(body)["id"]], hashlib.sha256(body).digest(), body))
    finally:
        free.put_nowait(connection)
    return JSONResponse({"received": 1}, 202)


async def alive(_: Request) -> Response:
    return PlainTextResponse("ok")


def create_app() -> Starlette:
    return Starlette(
        routes=[Route("/v1/webhooks/acme/sandbox", webhook, methods=["POST"]), Route("/healthz", alive)],
        lifespan=lifespan,
    )
