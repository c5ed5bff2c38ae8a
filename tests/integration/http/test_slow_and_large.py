"""Bodies that are too large, too slow or never end: refused while reading, and the connection closed."""

import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.http.problems import check
from tests.integration.http.requests import CREDIT, SANDBOX, credit, job_headers
from worker.http import limits
from worker.http.limits import BODY_BYTES_MAX


def chunks(count: int, size: int = 16 * 1024) -> Iterator[bytes]:
    for _ in range(count):
        yield b" " * size


def connect(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60)


def head(path: str, *lines: str) -> bytes:
    headers = [f"{name}: {value}" for name, value in job_headers().items()]
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: shim", *headers, *lines, "", ""]).encode()


def read_all(connection: socket.socket) -> bytes:
    """Until the server closes."""
    received = b""
    while part := connection.recv(65536):
        received += part
    return received


def test_a_chunked_body_is_counted_while_it_is_read(client: httpx.Client) -> None:
    for path, kibibytes in ((CREDIT, 64), (SANDBOX, 256)):
        response = client.post(path, content=chunks(kibibytes), headers=job_headers())
        check(response, 413, "body_too_large")
        assert response.headers["connection"] == "close"


def test_a_chunked_body_within_the_limit_is_accepted(client: httpx.Client) -> None:
    body = json.dumps(credit()).encode()
    response = client.post(CREDIT, content=iter([body[:10], body[10:]]), headers=job_headers())
    assert response.status_code == 202
    assert "connection" not in response.headers


def test_an_announced_length_over_the_limit_is_refused_before_a_byte_is_read(shim: str) -> None:
    with connect(shim) as connection:
        connection.sendall(head(CREDIT, "Content-Length: 10000000000", "Expect: 100-continue"))
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in answer.lower()


def test_a_body_without_an_end_is_cut_off(shim: str) -> None:
    sent, started = 0, time.monotonic()
    with connect(shim) as connection:
        connection.sendall(head(CREDIT, "Transfer-Encoding: chunked"))
        try:
            while time.monotonic() - started < 30:
                connection.sendall(b"4000\r\n" + b" " * 0x4000 + b"\r\n")
                sent += 0x4000
        except OSError:
            pass
    assert BODY_BYTES_MAX < sent < 64 * 1024 * 1024
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("path", [CREDIT, SANDBOX])
def test_a_body_that_trickles_in_is_given_up(shim: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS_MAX", 0.3)
    with connect(shim) as connection:
        connection.sendall(head(path, "Content-Length: 1000") + b"{")
        started = time.monotonic()
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in answer.lower()
    assert b'"code":"request_timeout"' in answer
    assert time.monotonic() - started < 30


def test_a_stranger_with_an_endless_body_is_cut_off_too(shim: str) -> None:
    with connect(shim) as connection:
        connection.sendall(
            b"POST /v1/jobs/wallets.credit HTTP/1.1\r\nHost: s\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer.lower()


def test_a_caller_that_hangs_up_half_way_harms_no_one(shim: str, client: httpx.Client) -> None:
    for _ in range(20):
        with connect(shim) as connection:
            connection.sendall(head(CREDIT, "Content-Length: 1000") + b"{")
    assert client.post(CREDIT, json=credit(), headers=job_headers()).status_code == 202


def test_white_space_around_a_key_is_not_part_of_it(shim: str) -> None:
    body = json.dumps(credit()).encode()
    token = job_headers(None)["Authorization"]
    seen = []
    for key in ("k", "   k \t"):
        lines = f"Authorization: {token}\r\nContent-Type: application/json\r\nIdempotency-Key:{key}\r\n"
        with connect(shim) as connection:
            connection.sendall(
                f"POST {CREDIT} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n{lines}"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
                + body
            )
            seen.append(json.loads(read_all(connection).split(b"\r\n\r\n", 1)[1]))
    assert [answer["duplicate"] for answer in seen] == [False, True]


def test_trailers_are_no_headers(shim: str) -> None:
    """A proxy that looked at the headers has not seen them: neither a token nor a length may come that way."""
    body = json.dumps(credit()).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in job_headers().items())
    for after in (0.0, 0.2):
        with connect(shim) as connection:
            connection.sendall(
                f"POST {CREDIT} HTTP/1.1\r\nHost: s\r\nConnection: close\r\n"
                f"Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode()
                + body
            )
            time.sleep(after)
            connection.sendall(f"\r\n0\r\n{lines}\r\n".encode())
            assert read_all(connection).startswith(b"HTTP/1.1 401 ")
