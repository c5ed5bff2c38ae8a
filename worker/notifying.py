"""The wire to a tenant's own systems: signed POSTs, as the Standard Webhooks specification 1.0.0 asks of a sender.

Every secret signs, so that a receiver can replace one. Certificates are checked against the system's authorities,
redirects are not followed, proxies of the environment are not used, and a whole exchange takes at most
TIMEOUT_SECONDS. There is no guard against addresses in private networks: who writes the settings chooses the address,
and the network decides what workers may reach (ops/runbooks/deploy.md).
"""

import asyncio
import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from types import TracebackType
from typing import Self

import httpx

from worker.providers.signatures import sign_standard_webhook
from worker.settings import Settings

TIMEOUT_SECONDS = 15.0
ANSWER_BYTES_MAX = 16_384
HEADERS = {"content-type": "application/json", "user-agent": "Ledgerbeat/1 (Standard Webhooks)"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a tenant is told, and the secrets that sign. Neither shows in a repr: a URL may hold a secret too."""

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Tells one address from another without naming it."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Letter:
    """One body to send. `webhook_id` is the same at every try; `timestamp` is of this one, in unix seconds."""

    webhook_id: str
    timestamp: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: a status with its Retry-After as sent, or no status and the kind of `failure` in our words."""

    status: int | None
    retry_after: str = ""
    failure: str = ""


def endpoints(settings: Settings) -> dict[str, Endpoint]:
    """The tenants that are told, each with its address."""
    return {
        tenant.name: Endpoint(
            tenant.notify_url, tuple(secret.get_secret_value() for secret in tenant.notify_secrets)
        )
        for tenant in settings.tenants.values()
        if tenant.notify_url is not None
    }


class Sender:
    """Sends to one endpoint. A context manager for one thread: connections are kept until it ends."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        authorities: ssl.SSLContext | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._authorities = authorities

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        self._client = httpx.AsyncClient(
            verify=self._authorities or _system_authorities(),
            trust_env=False,
            follow_redirects=False,
            timeout=self._timeout_seconds,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers=HEADERS,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._runner.run(self._client.aclose())
        finally:
            self._runner.close()

    def send(self, letters: Sequence[Letter]) -> list[Answer]:
        """Send all at once and wait for all, at most the timeout; the answers in order. Never raises for one."""
        return self._runner.run(self._send(letters))

    async def _send(self, letters: Sequence[Letter]) -> list[Answer]:
        return await asyncio.gather(*(self._post(letter) for letter in letters))

    async def _post(self, letter: Letter) -> Answer:
        """The time is counted over everything, name look-up to the last header, however slowly it trickles in."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._exchange(letter)
        except (TimeoutError, httpx.TimeoutException):
            return Answer(None, failure=f"no answer within {self._timeout_seconds:g} s")
        except httpx.ConnectError as error:
            return Answer(None, failure="TLS failed" if _is_tls(error) else "cannot connect")
        except Exception as error:  # noqa: BLE001 - whatever the other side does, it costs this letter only
            return Answer(None, failure=f"no answer: {type(error).__name__}")

    async def _exchange(self, letter: Letter) -> Answer:
        """The status is the answer: of the body only so much is read that a connection can be used again."""
        secrets = self._endpoint.secrets
        signed = sign_standard_webhook(secrets, letter.webhook_id, letter.timestamp, letter.body)
        async with self._client.stream(
            "POST", self._endpoint.url, content=letter.body, headers=signed
        ) as reply:
            answer = Answer(reply.status_code, reply.headers.get("retry-after", ""))
            await _skim(reply)
            return answer


async def _skim(reply: httpx.Response) -> None:
    read = 0
    try:
        async with asyncio.timeout(1.0):
            async for chunk in reply.aiter_raw():
                read += len(chunk)
                if read > ANSWER_BYTES_MAX:
                    return
    except (TimeoutError, httpx.HTTPError):
        return


def _is_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@cache
def _system_authorities() -> ssl.SSLContext:
    """Read once per process: it costs tens of milliseconds."""
    return ssl.create_default_context()
