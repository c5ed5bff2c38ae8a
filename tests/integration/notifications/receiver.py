"""A tenant's own system: a real HTTP server in threads, which answers as it is told and verifies what it gets."""

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from freezegun import freeze_time
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD_SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request as it came in; `path` tells receivers behind one server apart."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def webhook_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def sent_at(self) -> datetime:
        return datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> dict[str, Any]:
        return dict(json.loads(self.body)["data"])

    @property
    def subject(self) -> tuple[str, int]:
        return self.data["subject"], self.data["version"]

    def verified(self, secret: str = SECRET) -> Any:
        """As a receiver verifies, at the moment of sending. Raises WebhookVerificationError."""
        with freeze_time(self.sent_at):
            return Webhook(secret).verify(self.body, dict(self.headers))


@dataclass(frozen=True, slots=True)
class Reply:
    """A status with headers. `hold` waits before answering, `trickle` then sends the head byte by byte for ever."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    hold: threading.Event | None = None
    trickle: bool = False


class Receiver:
    """What came in, in order, and how it answers: `answer` is asked for each delivery."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.answer: Callable[[Delivery], Reply] = lambda _: Reply()
        self.at_once = 0
        self.at_once_max = 0
        self.stopping = threading.Event()
        self.url = ""
        self._lock = threading.Lock()

    def subjects(self) -> list[tuple[str, int]]:
        return [delivery.subject for delivery in self.deliveries]

    def take(self, delivery: Delivery) -> Reply:
        with self._lock:
            self.deliveries.append(delivery)
            self.at_once += 1
            self.at_once_max = max(self.at_once_max, self.at_once)
        return self.answer(delivery)

    def done(self) -> None:
        with self._lock:
            self.at_once -= 1


class QuietServer(ThreadingHTTPServer):
    """Callers that hang up are expected."""

    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Silence."""


@contextmanager
def receiving(identity: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on a free port of loopback, until the end of the block. `identity` makes it speak TLS."""
    receiver = Receiver()
    server = QuietServer(("127.0.0.1", 0), _handler(receiver))
    if identity is not None:
        server.socket = identity.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    scheme = "http" if identity is None else "https"
    receiver.url = f"{scheme}://127.0.0.1:{server.server_address[1]}/hooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield receiver
    finally:
        receiver.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            reply = receiver.take(Delivery(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            try:
                with suppress(OSError):
                    self._reply(reply)
            finally:
                receiver.done()

        def do_GET(self) -> None:
            receiver.take(Delivery(self.path, {}, b'{"data": {"subject": "GET", "version": 0}}'))
            receiver.done()
            self._reply(Reply())

        def _reply(self, reply: Reply) -> None:
            if reply.hold is not None:
                reply.hold.wait(60)
            if reply.trickle:
                self._trickle()
                return
            self.send_response_only(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        def _trickle(self) -> None:
            self.close_connection = True
            self.wfile.write(b"HTTP/1.1 204 No Content\r\n")
            while not receiver.stopping.wait(0.02):
                self.wfile.write(b"a: b\r\n")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Silence."""

    return Handler
