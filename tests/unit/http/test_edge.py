"""What the edge tells apart before any door or router sees it."""

import re

import pytest
from starlette.types import Scope

from worker.http.edge import _address, _doubt, request_id

HOST = (b"host", b"shim")
LENGTH = (b"content-length", b"3")
CHUNKED = (b"transfer-encoding", b"chunked")


def test_ids_are_random_uuids() -> None:
    ids = {request_id() for _ in range(200)}
    assert len(ids) == 200
    shape = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    assert all(shape.fullmatch(one) for one in ids)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/v1/jobs/wallets.credit", ("/v1/jobs", 1)),
        ("/v1/webhooks/acme/sandbox", ("/v1/webhooks", 2)),
        ("/v1/jobs/", ("/v1/jobs", 0)),
        ("/v1/jobs", ("/v1/jobs", 0)),
        ("/v1/webhooks//sandbox", ("/v1/webhooks", 0)),
        ("//v1/jobs/x", ("//v1", 0)),
        ("/v1/jobs/x/y", ("/v1/jobs", 2)),
        ("*", ("*", -2)),
        ("", ("", -2)),
    ],
)
def test_an_address_is_a_beginning_and_how_much_follows(path: str, address: tuple[str, int]) -> None:
    assert _address(path) == address


@pytest.mark.parametrize(
    ("version", "headers", "doubtful"),
    [
        ("1.1", [HOST, LENGTH], False),
        ("1.1", [HOST, CHUNKED], False),
        ("1.1", [HOST, (b"transfer-encoding", b"Chunked")], False),
        ("1.0", [LENGTH], False),
        ("1.1", [LENGTH], True),
        ("1.1", [HOST, HOST], True),
        ("1.0", [HOST, HOST], True),
        ("1.1", [HOST, LENGTH, CHUNKED], True),
        ("1.1", [HOST, CHUNKED, CHUNKED], True),
        ("1.1", [HOST, (b"transfer-encoding", b"gzip, chunked")], True),
        ("1.1", [HOST, (b"transfer-encoding", b"chunked, chunked")], True),
        ("1.1", [HOST, (b"transfer-encoding", b"")], True),
    ],
)
def test_what_may_be_read_in_two_ways_is_refused(
    version: str, headers: list[tuple[bytes, bytes]], doubtful: bool
) -> None:
    scope: Scope = {"type": "http", "http_version": version, "headers": headers}
    assert (_doubt(scope) is not None) == doubtful
