"""Shapes of HTTP that no honest client sends: refused or cut off, never a 5xx, never a 202, and others are served."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.factories import job_rows
from tests.integration.http import serving
from tests.integration.http.requests import CREDIT, credit, job_headers
from tests.integration.http.wire import connect, converse, statuses
from tests.waiting import PATIENCE_SECONDS
from worker.database import Transaction

BODY = json.dumps(credit()).encode()
LINES = "".join(f"{name}: {value}\r\n" for name, value in job_headers().items()).encode()
HOST = b"Host: shim\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def post(
    *lines: bytes, body: bytes = BODY, target: bytes = CREDIT.encode(), version: bytes = b"HTTP/1.1"
) -> bytes:
    """A job with its token and key; `lines` are the headers that say where the body ends."""
    return b"POST " + target + b" " + version + b"\r\n" + HOST + LINES + b"".join(lines) + b"\r\n" + body


CHUNK = b"%x\r\n%s\r\n" % (len(BODY), BODY)
HOSTILE = {
    "both lengths, chunked last": post(LENGTH, CHUNKED, body=CHUNK + b"0\r\n\r\n"),
    "both lengths, chunked first": post(CHUNKED, LENGTH, body=CHUNK + b"0\r\n\r\n"),
    "smuggled behind a length": post(b"Content-Length: 4\r\n", CHUNKED, body=b"0\r\n\r\n" + post(LENGTH)),
    "two lengths that differ": post(LENGTH, b"Content-Length: 3\r\n"),
    "a list of lengths that differ": post(b"Content-Length: %d, 3\r\n" % len(BODY)),
    "a negative length": post(b"Content-Length: -1\r\n"),
    "a signed length": post(b"Content-Length: +%d\r\n" % len(BODY)),
    "a hexadecimal length": post(b"Content-Length: 0x10\r\n"),
    "a length with an underscore": post(b"Content-Length: 1_0\r\n"),
    "a length in other digits": post("Content-Length: \u0661\u0660\r\n".encode()),
    "a length of a thousand digits": post(b"Content-Length: " + b"9" * 1000 + b"\r\n"),
    "a body shorter than its length": post(b"Content-Length: %d\r\n" % (len(BODY) + 5)),
    "no length at all": post(),
    "a chunk size that is none": post(CHUNKED, body=b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a negative chunk size": post(CHUNKED, body=b"-1\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size of a hundred digits": post(CHUNKED, body=b"f" * 100 + b"\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk size past 64 bits": post(CHUNKED, body=b"10000000000000000\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk longer than its size": post(CHUNKED, body=b"5\r\n" + BODY + b"\r\n0\r\n\r\n"),
    "a chunk that ends early": post(CHUNKED, body=b"ffff\r\n" + BODY),
    "no last chunk": post(CHUNKED, body=CHUNK),
    "an endless chunk extension": post(CHUNKED, body=b"5;" + b"x" * 200_000),
    "endless trailers": post(CHUNKED, body=CHUNK + b"0\r\n" + b"X-Trailer: yes\r\n" * 20_000),
    "another coding": post(b"Transfer-Encoding: gzip, chunked\r\n", body=CHUNK + b"0\r\n\r\n"),
    "a coding that nobody knows": post(b"Transfer-Encoding: xchunked\r\n", LENGTH),
    "chunked twice": post(CHUNKED, CHUNKED, body=CHUNK + b"0\r\n\r\n"),
    "a huge header": post(b"X-Huge: " + b"x" * 1_000_000 + b"\r\n", LENGTH),
    "a huge target": post(LENGTH, target=b"/" + b"a" * 1_000_000),
    "a header that is folded": post(b"X-Folded: a\r\n b\r\n: c\r\n", LENGTH),
    "a header without a name": post(b": empty\r\n", LENGTH),
    "a header with a space in its name": post(b"Content-Length : %d\r\n" % len(BODY)),
    "a NUL in a header": post(b"X-Nul: a\0b\r\n", LENGTH),
    "a carriage return in a header": post(b"X-Cr: a\rb\r\n", LENGTH),
    "HTTP/0.9": b"GET /healthz\r\n",
    "HTTP/1.1 without a host": b"POST " + CREDIT.encode() + b" HTTP/1.1\r\n" + LINES + LENGTH + b"\r\n" + BODY,
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a handshake of TLS": bytes.fromhex("16030100c8010000c40303") + b"\0" * 189,
    "a method that nobody knows": post(LENGTH).replace(b"POST", b"BREW", 1),
    "two hosts": post(b"Host: elsewhere\r\n", LENGTH),
    "chunked in HTTP/1.0 beside a length": post(LENGTH, CHUNKED, version=b"HTTP/1.0"),
    "another coding on a line of its own": post(b"Transfer-Encoding: gzip\r\n", CHUNKED, body=CHUNK + b"0\r\n\r\n"),
    "an endless header name": post(b"x" * 1_000_000),
    "a method that is none": b"P\0ST / HTTP/1.1\r\n" + HOST + b"\r\n",
    "CONNECT": b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
    "no path": post(LENGTH, target=b"*"),
    "a path that climbs": post(LENGTH, target=b"/v1/jobs/../jobs/wallets.credit"),
    "a path in percent signs": post(LENGTH, target=b"/v1/jobs/%2e%2e%2fwallets.credit%00"),
    "bytes past ASCII in the path": post(LENGTH, target=b"/v1/jobs/\xff\xfe"),
    "nothing but line ends": b"\r\n" * 50_000,
    "nothing": b"",
}  # fmt: skip


@pytest.fixture(scope="module")
def refusing() -> Iterator[str]:
    """A shim whose database does not exist: what it answers with 503 had got in."""
    with serving.serving(serving.settings("postgresql+psycopg://nobody@127.0.0.1:1/none")) as address:
        yield address


@pytest.mark.parametrize("shape", HOSTILE)
def test_a_hostile_shape_is_refused_or_cut_off(refusing: str, shape: str) -> None:
    started = monotonic()
    answered = statuses(converse(refusing, HOSTILE[shape]))
    assert all(400 <= status < 500 for status in answered), answered
    assert monotonic() - started < 30
    assert httpx.get(f"{refusing}/healthz", timeout=PATIENCE_SECONDS).status_code == 200


ODD = {
    "HTTP/2.0 in the line": post(LENGTH, version=b"HTTP/2.0"),
    "ten thousand headers": post(b"X-Many: x\r\n" * 10_000, LENGTH),
    "HTTP/1.0": post(LENGTH, version=b"HTTP/1.0"),
    "an absolute target": post(LENGTH, target=b"http://shim" + CREDIT.encode()),
    "an absolute target elsewhere": post(LENGTH, target=b"http://elsewhere.example" + CREDIT.encode()),
    "a fragment and a query": post(LENGTH, target=CREDIT.encode() + b"?token=x#y"),
    "bare line feeds": post(LENGTH, body=b"").replace(b"\r\n", b"\n") + BODY,
    "line ends before the request": b"\r\n" + post(LENGTH),
    "the same length twice": post(LENGTH, LENGTH),
    "a byte more than its length": post(LENGTH) + b"x",
    "a request glued to another": post(LENGTH) + post(LENGTH),
    "many small chunks": post(CHUNKED, body=b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n"),
    "a chunk extension": post(
        CHUNKED, body=CHUNK.replace(b"\r\n", b";a=b\r\n", 1) + b"0\r\nX-Trailer: a\r\n\r\n"
    ),
}


@pytest.mark.parametrize("shape", ODD)
def test_an_odd_shape_makes_the_job_that_it_says_or_none(
    shim: str, transaction: Transaction, shape: str
) -> None:
    """What the standard allows may be taken; then it is this very job and no other."""
    answered = statuses(converse(shim, ODD[shape], answers_min=1))
    rows = job_rows(transaction)
    assert all(status == 202 or 400 <= status < 500 for status in answered)
    assert (202 in answered) == bool(rows)
    assert [(row["idempotency_key"], row["args"]) for row in rows] in ([], [("key-1", credit())])


def test_pipelined_requests_are_answered_in_order(shim: str, transaction: Transaction) -> None:
    requests = [
        post(LENGTH).replace(b"key-1", b"key-%d" % number)
        if number % 2
        else b"GET /nowhere HTTP/1.1\r\nHost: s\r\n\r\n"
        for number in range(6)
    ]
    assert statuses(converse(shim, b"".join(requests), answers_min=len(requests))) == [
        404,
        202,
        404,
        202,
        404,
        202,
    ]
    assert [row["idempotency_key"] for row in job_rows(transaction)] == ["key-1", "key-3", "key-5"]


def test_a_crowd_that_never_finishes_its_headers_keeps_nobody_waiting(shim: str) -> None:
    crowd = [connect(shim) for _ in range(200)]
    for connection in crowd:
        connection.sendall(b"POST /v1/jobs/wallets.credit HTTP/1.1\r\nX-Slow: ")
    started = monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = list(
            pool.map(
                lambda n: httpx.post(
                    shim + CREDIT, json=credit(), headers=job_headers(f"k{n}"), timeout=PATIENCE_SECONDS
                ),
                range(20),
            )
        )
    assert {answer.status_code for answer in answers} == {202}
    assert monotonic() - started < 60
    for connection in crowd:
        connection.close()


TOKENS = st.sampled_from(
    [b"POST", b" ", b"\r\n", b"\n", b"\r", b"\0", b":", b"HTTP/1.1", b"Host: s", CREDIT.encode(), LENGTH, CHUNKED,
     b"\r\n\r\n", b"0\r\n\r\n", CHUNK, BODY, b"Content-Length: ", b"Transfer-Encoding: ", b"\xff", b"7",
     b"Expect: 100-continue\r\n", b"Connection: upgrade\r\nUpgrade: h2c\r\n"]
)  # fmt: skip


@given(noise=st.lists(TOKENS | st.binary(max_size=20), max_size=30).map(b"".join))
@example(noise=post(LENGTH, b"Upgrade: websocket\r\nConnection: Upgrade\r\n"))
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), database=None)
def test_noise_is_never_taken_for_a_job(refusing: str, noise: bytes) -> None:
    """Without a token: whatever it spells, nobody asked."""
    for sent in (noise, b"POST " + CREDIT.encode() + b" HTTP/1.1\r\nHost: s\r\n" + noise):
        answered = statuses(converse(refusing, sent.replace(LINES, b""), quiet_seconds=0.05))
        assert all(status < 500 and status != 202 for status in answered), answered
