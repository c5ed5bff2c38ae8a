"""A load generator that costs little: prepared requests over kept-alive sockets, one process, no HTTP library.

`closed`: each connection sends its next request when the answer is there: the peak. `open`: requests fall due at a
fixed rate whether or not the answers come, and the time of each counts from when it fell due.

Run as a process of its own: `python -m tests.bench.generator HOST PORT CONNECTIONS RATE < requests > answers`, the
requests as lines of base64. RATE 0 is closed. Answers with JSON: when it began, seconds, latencies, refusals.
"""

import base64
import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ACCEPTED = b"HTTP/1.1 202"
LENGTH = b"content-length: "
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a run of the generator saw. `began_at` by the clock; latencies in seconds, sorted."""

    began_at: float
    seconds: float
    latencies: Sequence[float]

    def percentile(self, part: float) -> float:
        """In milliseconds."""
        return 1000 * self.latencies[min(int(part * len(self.latencies)), len(self.latencies) - 1)]


def load(port: int, requests: Sequence[bytes], *, connections: int = 64, rate: float = 0) -> Load:
    """Send them all from another process; every answer must be a 202."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.generator", "127.0.0.1", str(port), str(connections), str(rate)],
        input=b"\n".join(base64.b64encode(request) for request in requests),
        stdout=subprocess.PIPE,
        cwd=ROOT,
        check=True,
    )
    said = json.loads(done.stdout)
    assert not said["refused"], said["refused"]
    return Load(said["began_at"], said["seconds"], said["latencies"])


def post(path: str, headers: dict[str, str], body: bytes) -> bytes:
    """One request as it goes over the wire."""
    lines = [f"POST {path} HTTP/1.1", "host: 127.0.0.1", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(slots=True)
class _Connection:
    socket: socket.socket
    due_at: float = 0.0
    got: bytearray = field(default_factory=bytearray)


def main(host: str, port: int, connections: int, rate: float) -> None:
    requests = [base64.b64decode(line) for line in sys.stdin.buffer]
    idle = [
        _Connection(socket.create_connection((host, port))) for _ in range(min(connections, len(requests)))
    ]
    for connection in idle:
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    began_at, began = time.time(), time.perf_counter()
    latencies, refused = _exchange(requests, idle, rate)
    said = {
        "began_at": began_at,
        "seconds": time.perf_counter() - began,
        "latencies": sorted(latencies),
        "refused": refused[:3],
    }
    print(json.dumps(said))


def _exchange(
    requests: Sequence[bytes], idle: list[_Connection], rate: float
) -> tuple[list[float], list[str]]:
    """Latencies, and the beginnings of answers that are no 202."""
    selector = selectors.DefaultSelector()
    latencies: list[float] = []
    refused: list[str] = []
    began, sent = time.perf_counter(), 0
    while len(latencies) < len(requests):
        sent = _send(requests, idle, selector, sent, began, rate)
        for key, _ in selector.select(_pause(len(requests), sent, began, rate)):
            connection: _Connection = key.data
            answer = _received(connection)
            if answer is None:
                continue
            latencies.append(time.perf_counter() - connection.due_at)
            if not answer.startswith(ACCEPTED):
                refused.append(answer[:300].decode(errors="replace"))
            selector.unregister(connection.socket)
            idle.append(connection)
    return latencies, refused


def _send(
    requests: Sequence[bytes],
    idle: list[_Connection],
    selector: selectors.BaseSelector,
    sent: int,
    began: float,
    rate: float,
) -> int:
    """Send what is due on the connections that are free; how many have been sent now."""
    while idle and sent < len(requests):
        now = time.perf_counter()
        due_at = began + sent / rate if rate else now
        if due_at > now:
            break
        connection = idle.pop(0)  # the one that rested longest: a server closes what rests for seconds
        connection.due_at = due_at
        connection.socket.sendall(requests[sent])
        selector.register(connection.socket, selectors.EVENT_READ, connection)
        sent += 1
    return sent


def _pause(requests: int, sent: int, began: float, rate: float) -> float:
    """Until the next request falls due, or an answer comes."""
    if not rate or sent == requests:
        return PATIENCE_SECONDS
    return max(0.0, began + sent / rate - time.perf_counter())


def _received(connection: _Connection) -> bytes | None:
    """The whole answer, once it is there."""
    part = connection.socket.recv(65536)
    if not part:
        raise ConnectionError("the server closed the connection")
    connection.got += part
    head, found, body = bytes(connection.got).partition(b"\r\n\r\n")
    if not found:
        return None
    length = int(head.lower().partition(LENGTH)[2].split(b"\r\n", 1)[0])
    if len(body) < length:
        return None
    connection.got.clear()
    return head + body


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
