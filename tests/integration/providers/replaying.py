"""A provider on a free port that answers with recorded shapes and keeps idempotency keys as the vendors do.

`answers` are given one for each call that is processed, the last one for all that follow. Under a key that is known
the first answer is replayed, 500s included, and the same key with another body gets `mismatch`.
"""

import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

Break = Literal["silence", "reset", "cut", "drip"]
"""No answer; a reset after the request; a reset in the middle of the body; a header line without end."""


@dataclass(frozen=True)
class Reply:
    """One recorded answer. `kept`: it is saved under the key and replayed (a validation error is not)."""

    status: int = 200
    body: object = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None
    breaks: Break | None = None
    kept: bool = True

    @property
    def content(self) -> bytes:
        return json.dumps(self.body).encode() if self.raw is None else self.raw


@dataclass(frozen=True)
class Seen:
    """One request as it arrived. Names of headers are lower-case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Replaying:
    """The server. `seen` are all requests; `processed` those that were not replays."""

    def __init__(self, mismatch: Reply | None = None) -> None:
        self.answers: list[Reply] = []
        self.mismatch = mismatch or Reply(422, {})
        self.seen: list[Seen] = []
        self.processed: list[Seen] = []
        self._kept: dict[str, tuple[bytes, Reply]] = {}
        self._stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def says(self, *answers: Reply) -> None:
        """From now on, answer so."""
        self.answers[:] = answers

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _decide(self, seen: Seen) -> Reply:
        self.seen.append(seen)
        key = seen.headers.get("idempotency-key")
        if key is not None and key in self._kept:
            body, reply = self._kept[key]
            return reply if body == seen.body else self.mismatch
        self.processed.append(seen)
        reply = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if key is not None and reply.kept:
            self._kept[key] = (seen.body, reply)
        return reply

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                headers = {name.lower(): value for name, value in self.headers.items()}
                reply = provider._decide(Seen(self.command, self.path, headers, self.rfile.read(length)))
                if reply.breaks:
                    provider._break(self.connection, reply)
                    self.close_connection = True
                else:
                    self._write(reply)

            def do_GET(self) -> None:
                self.do_POST()

            def _write(self, reply: Reply) -> None:
                self.send_response(reply.status)
                sent = {"content-type": "application/json", "content-length": str(len(reply.content))}
                for name, value in (sent | reply.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler

    def _break(self, connection: socket.socket, reply: Reply) -> None:
        if reply.breaks == "silence":
            _until_gone(connection)
        elif reply.breaks == "drip":
            connection.sendall(b"HTTP/1.1 200 OK\r\nx-filler: ")
            self._drip(connection)
        else:
            if reply.breaks == "cut":
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + reply.content)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    def _drip(self, connection: socket.socket) -> None:
        """A byte now and then, so that no single read waits for long."""
        try:
            while not self._stopping.wait(0.02):
                connection.sendall(b".")
        except OSError:
            return


def _until_gone(connection: socket.socket) -> None:
    """Until the caller has given up."""
    try:
        while connection.recv(1024):
            pass
    except OSError:
        return
