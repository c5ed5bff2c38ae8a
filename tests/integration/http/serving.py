"""The shim on a free port, in a thread of the test process: real sockets, real PostgreSQL."""

import socket
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import uvicorn
from pydantic import SecretStr
from starlette.types import ASGIApp

from tests.waiting import until
from worker.http.app import Nudge, build_app
from worker.settings import ProviderSettings, Settings, TenantSettings

ACME_TOKEN = "acme-token-of-today-0001"
ACME_OLD_TOKEN = "acme-token-of-yesterday-1"
GLOBEX_TOKEN = "globex-token-of-today-01"
SANDBOX_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SANDBOX_OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
STRIPE_SECRET = "whsec_test_secret"
ADYEN_SECRET = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


def tenants(*, rate: float = 10_000) -> dict[str, TenantSettings]:
    """acme with two tokens and three providers, and globex with a token and none."""
    acme = TenantSettings(
        name="acme",
        timezone="Europe/Istanbul",
        api_tokens=(SecretStr(ACME_TOKEN), SecretStr(ACME_OLD_TOKEN)),
        rate_limit_per_second=rate,
        providers={
            "sandbox": _provider("sandbox", SANDBOX_SECRET, SANDBOX_OLD_SECRET),
            "stripe": _provider("stripe", STRIPE_SECRET),
            "adyen": _provider("adyen", ADYEN_SECRET),
        },
    )
    globex = TenantSettings(
        name="globex", api_tokens=(SecretStr(GLOBEX_TOKEN),), rate_limit_per_second=10_000
    )
    return {"acme": acme, "globex": globex}


def _provider(adapter: str, *secrets: str) -> ProviderSettings:
    return ProviderSettings.model_validate(
        {
            "name": adapter,
            "adapter": adapter,
            "webhook_secrets": tuple(SecretStr(secret) for secret in secrets),
        }
    )


def settings(database_url: str, *, rate: float = 10_000, **others: object) -> Settings:
    return Settings.model_validate({"database_url": database_url, "tenants": tenants(rate=rate), **others})


def forget(tenants: Collection[str]) -> None:
    """A nudge that reaches nobody."""


def as_it_is(app: ASGIApp) -> ASGIApp:
    """Nothing around the app."""
    return app


@contextmanager
def serving(
    configured: Settings, nudge: Nudge = forget, *, wrapped: Callable[[ASGIApp], ASGIApp] = as_it_is
) -> Iterator[str]:
    """The shim's address, until the end of the block."""
    config = uvicorn.Config(
        wrapped(build_app(configured, nudge=nudge)),
        http="worker.http.wire:Wire",
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_graceful_shutdown=5,
    )
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        until(lambda: server.started, what="the shim's start")
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(120)
        listener.close()
