"""One HTTP call to a provider, bounded as a whole, that knows whether a byte of the request may have left.

Every call has its own connection: a pooled one may be closed by the provider in the very moment it is used again,
and such a payout would be in doubt for nothing. There are no retries, no redirects, no proxies and no cookies.
"""

import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

BODY_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole HTTP answer. Names of headers are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class CallFailed(Exception):
    """There is no answer. `code` is safe to log; no address, body or header is in it."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NotSentAtAll(CallFailed):
    """No byte of the request was given to the network: refused, no such host, TLS failed, or too slow to connect."""


class Lost(CallFailed):
    """The request was sent, wholly or in part, and no whole answer came back."""


class Wire:
    """The way to one provider's origin. Safe for threads; holds no connection between calls."""

    def __init__(self, base_url: str, timeout_seconds: float, body_bytes_max: int = BODY_BYTES_MAX) -> None:
        self._base_url = base_url.rstrip("/")
        self._body_bytes_max = body_bytes_max
        self._timeout_seconds = timeout_seconds
        self._ssl_context = httpx.create_ssl_context() if base_url.startswith("https:") else None

    def call_url(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Reply:
        """The same for a whole URL, which must be below the base: keys go nowhere else. Raises NotSentAtAll, Lost."""
        if not url.startswith(f"{self._base_url}/"):
            raise NotSentAtAll("other_address")
        return self.call(method, url.removeprefix(self._base_url), headers, body)

    def call(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None) -> Reply:
        """The answer to `method base_url + target`, whatever its status. Raises NotSentAtAll, Lost.

        It ends within the timeout, however slowly an answer drips; only the name's look-up is the resolver's own.
        """
        tracked = _Tracked(time.monotonic() + self._timeout_seconds)
        try:
            return self._exchange(tracked, method, target, headers, body)
        except _TooLarge as error:
            raise tracked.failure(error.code) from None
        except (httpcore.TimeoutException, TimeoutError):
            raise tracked.failure("timeout") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError, ValueError):
            raise tracked.failure("connection_broken" if tracked.sent else "no_connection") from None

    def _exchange(
        self, tracked: "_Tracked", method: str, target: str, headers: Mapping[str, str], body: bytes | None
    ) -> Reply:
        url = httpcore.URL(self._base_url + target)
        sent_headers = [*headers.items(), ("Connection", "close"), ("Accept-Encoding", "identity")]
        timeouts = dict.fromkeys(("connect", "read", "write"), self._timeout_seconds)
        with (
            httpcore.HTTPConnection(
                url.origin, ssl_context=self._ssl_context, network_backend=tracked
            ) as connection,
            connection.stream(
                method,
                url,
                headers=sent_headers,
                content=body,
                extensions={"timeout": timeouts},
            ) as answer,
        ):
            return Reply(
                answer.status, _lower(answer.headers), _bounded(answer.iter_stream(), self._body_bytes_max)
            )


class _TooLarge(Exception):
    """An answer that is larger than any that makes sense."""

    code = "answer_too_large"


class _Tracked(httpcore.NetworkBackend):
    """The network of one call: each wait is cut to what is left of the whole, and sending is noted."""

    def __init__(self, deadline: float) -> None:
        self._network = httpcore.SyncBackend()
        self._deadline = deadline
        self.sent = False

    def failure(self, code: str) -> CallFailed:
        return Lost(code) if self.sent else NotSentAtAll(code)

    def left(self) -> float:
        seconds = self._deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError
        return seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the whole call's deadline rules
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._network.connect_tcp(host, port, self.left(), local_address, socket_options)
        return _TrackedStream(self, stream)


class _TrackedStream(httpcore.NetworkStream):
    def __init__(self, call: _Tracked, stream: httpcore.NetworkStream) -> None:
        self._call = call
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._call.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        seconds = self._call.left()
        self._call.sent = True
        self._stream.write(buffer, seconds)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """The handshake sends nothing of the request: it goes past `write`."""
        stream = self._stream.start_tls(ssl_context, server_hostname, self._call.left())
        return _TrackedStream(self._call, stream)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _lower(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _bounded(chunks: Iterable[bytes], bytes_max: int) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > bytes_max:
            raise _TooLarge
    return bytes(body)
