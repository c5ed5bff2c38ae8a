"""Posts bodies over kept-alive connections from a small pool of threads.

The standard library's client costs a tenth of the CPU of an asyncio one here: thousands of webhooks go out in seconds.
"""

import asyncio
import http.client
import socket
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import SplitResult, urlsplit

IDLE_SECONDS_MAX = 2.0
ANSWER_BYTES_MAX = 64 * 1024


class SendError(Exception):
    """There was no answer; the message names the kind of failure."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What the receiver said: its status, and its Retry-After header if it sent one."""

    status: int
    retry_after: str


class Sender:
    """At most `concurrency` posts at a time, each within `timeout_seconds` per network step."""

    def __init__(self, concurrency: int, timeout_seconds: float) -> None:
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="webhook")
        self._timeout_seconds = timeout_seconds
        self._open: set[http.client.HTTPConnection] = set()
        self._kept: list[tuple[SplitResult, float, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Reply:
        """Raises `SendError` when no whole answer came."""
        post = partial(self._post, url, body, headers)
        return await asyncio.get_running_loop().run_in_executor(self._pool, post)

    def close(self) -> None:
        """Cut off what is being sent, and close every connection."""
        with self._lock:
            for connection in self._open:
                _cut(connection)
        self._pool.shutdown(cancel_futures=True)
        for *_, connection in self._kept:
            connection.close()

    def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Reply:
        try:
            return self._exchange(urlsplit(url), body, headers)
        except (OSError, http.client.HTTPException, ValueError) as exc:
            raise SendError(type(exc).__name__) from exc

    def _exchange(self, url: SplitResult, body: bytes, headers: dict[str, str]) -> Reply:
        connection = self._taken(url)
        reusable = False
        try:
            connection.request("POST", _target(url), body, headers)
            answer = connection.getresponse()
            answer.read(ANSWER_BYTES_MAX)
            reusable = answer.isclosed() and not answer.will_close
            return Reply(answer.status, answer.headers.get("retry-after", ""))
        finally:
            self._give_back(url, connection, reusable)

    def _opened(self, url: SplitResult) -> http.client.HTTPConnection:
        host = url.hostname or ""
        if url.scheme == "https":
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(host, url.port, timeout=self._timeout_seconds, context=context)
        return http.client.HTTPConnection(host, url.port, timeout=self._timeout_seconds)

    def _taken(self, url: SplitResult) -> http.client.HTTPConnection:
        with self._lock:
            connection = self._recently_used(url) or self._opened(url)
            self._open.add(connection)
            return connection

    def _recently_used(self, url: SplitResult) -> http.client.HTTPConnection | None:
        """A connection to the same server from a moment ago; older ones may be closed at the other end."""
        while self._kept:
            kept_url, used_at, connection = self._kept.pop()
            fresh = time.monotonic() - used_at < IDLE_SECONDS_MAX
            if fresh and (kept_url.scheme, kept_url.netloc) == (url.scheme, url.netloc):
                return connection
            connection.close()
        return None

    def _give_back(self, url: SplitResult, connection: http.client.HTTPConnection, reusable: bool) -> None:
        with self._lock:
            self._open.discard(connection)
            if reusable:
                self._kept.append((url, time.monotonic(), connection))
            else:
                connection.close()


def _cut(connection: http.client.HTTPConnection) -> None:
    """Wake a thread that waits for an answer: closing alone would not."""
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")
