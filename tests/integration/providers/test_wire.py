"""What a network can do to a call, through all three adapters: is it not sent, or in doubt?"""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Literal

import pytest

from tests.integration.providers.accounts import account, order
from tests.integration.providers.replaying import Break, Replaying, Reply
from worker.providers.payouts import registry
from worker.providers.payouts.port import InDoubt, Instruction, NotSent, PayoutProvider, Unsure
from worker.providers.payouts.wire import NotSentAtAll, Wire

Adapter = Literal["sandbox", "stripe", "adyen"]
ADAPTERS: tuple[Adapter, ...] = ("sandbox", "stripe", "adyen")
DESTINATIONS = {"sandbox": "bank-1", "stripe": "acct_1/ba_1", "adyen": "SE123"}
NOW = datetime(2026, 11, 2, tzinfo=UTC)


def provider_at(adapter: Adapter, url: str, timeout_seconds: float = 60.0) -> PayoutProvider:
    return registry.build(
        account(adapter, url, "k" * 20, timeout_seconds=timeout_seconds, source_account="BA1")
    )


def order_for(adapter: Adapter) -> Instruction:
    return order(destination=DESTINATIONS[adapter])


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is bound, so that nobody else gets it, and does not listen."""
    with closing(socket.socket()) as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture
def plain_port() -> Iterator[int]:
    """A port that answers a TLS greeting in plain text, and says how many bytes it was sent."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=_answer_plainly, args=(server,))
        thread.start()
        yield server.getsockname()[1]
        thread.join(60)


def _answer_plainly(server: socket.socket) -> None:
    connection, _ = server.accept()
    with closing(connection):
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_refused_connection_is_not_sent_and_speaks_against_the_provider(
    adapter: Adapter, closed_port: int
) -> None:
    provider = provider_at(adapter, f"http://127.0.0.1:{closed_port}")
    assert provider.send(order_for(adapter)) == NotSent("no_connection", down=True)
    sighting = provider.look_up("7f3a-1", since=NOW, destination=DESTINATIONS[adapter])
    assert sighting == Unsure("no_connection")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_host_that_does_not_exist_is_not_sent(adapter: Adapter) -> None:
    provider = provider_at(adapter, "https://nobody.invalid")
    assert provider.send(order_for(adapter)) == NotSent("no_connection", down=True)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_failed_tls_handshake_is_not_sent(adapter: Adapter, plain_port: int) -> None:
    provider = provider_at(adapter, f"https://127.0.0.1:{plain_port}")
    assert provider.send(order_for(adapter)) == NotSent("no_connection", down=True)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_handshake_that_never_ends_is_not_sent(adapter: Adapter) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        provider = provider_at(adapter, f"https://127.0.0.1:{server.getsockname()[1]}", 0.2)
        assert provider.send(order_for(adapter)) == NotSent("timeout", down=True)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    ("breaks", "code"),
    [
        ("silence", "timeout"),
        ("drip", "timeout"),
        ("reset", "connection_broken"),
        ("cut", "connection_broken"),
    ],
)
def test_whatever_breaks_after_the_first_byte_is_in_doubt(
    server: Replaying, adapter: Adapter, breaks: Break, code: str
) -> None:
    server.says(Reply(breaks=breaks, raw=b'{"id": "po_1"'))
    provider = provider_at(adapter, server.url, 0.4 if code == "timeout" else 60.0)
    assert provider.send(order_for(adapter)) == InDoubt(code)
    assert len(server.seen) == 1
    sighting = provider.look_up("7f3a-1", since=NOW, destination=DESTINATIONS[adapter])
    assert sighting == Unsure(code)


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: Replaying, adapter: Adapter, status: int) -> None:
    server.says(Reply(status, {}, {"location": f"{server.url}/elsewhere"}))
    assert isinstance(provider_at(adapter, server.url).send(order_for(adapter)), InDoubt)
    assert len(server.seen) == 1


@pytest.mark.parametrize("adapter", ADAPTERS)
@pytest.mark.parametrize(
    "raw", [b"", b"<html>It works!</html>\xff", b"[]", b"null", b"{}", b'"paid"', b"[" * 5000]
)
@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_success_that_cannot_be_read_is_in_doubt(
    server: Replaying, adapter: Adapter, status: int, raw: bytes
) -> None:
    server.says(Reply(status, raw=raw))
    provider = provider_at(adapter, server.url)
    assert isinstance(provider.send(order_for(adapter)), InDoubt)
    sighting = provider.look_up("7f3a-1", since=NOW, destination=DESTINATIONS[adapter])
    assert isinstance(sighting, Unsure)


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_answer_without_end_is_in_doubt(server: Replaying, adapter: Adapter) -> None:
    server.says(Reply(200, raw=b'{"a": "' + b"x" * 2_000_000 + b'"}'))
    assert provider_at(adapter, server.url).send(order_for(adapter)) == InDoubt("answer_too_large")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_server_that_breaks_is_asked_once(server: Replaying, adapter: Adapter) -> None:
    server.says(Reply(500, {"error": {"type": "api_error"}}, {"stripe-should-retry": "true"}))
    assert isinstance(provider_at(adapter, server.url).send(order_for(adapter)), InDoubt)
    assert len(server.seen) == 1


def test_proxies_of_the_environment_are_not_asked(
    server: Replaying, monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    server.says(Reply(500))
    for adapter in ADAPTERS:
        provider_at(adapter, server.url).send(order_for(adapter))
    assert len(server.seen) == len(ADAPTERS)


def test_a_key_never_goes_to_another_host(server: Replaying) -> None:
    server.says(Reply(200, {}))
    wire = Wire("http://127.0.0.1:1", 5.0)
    for url in (
        server.url,
        f"{server.url}/x",
        "http://127.0.0.1:1.evil.example/x",
        "http://127.0.0.1:1@evil/x",
    ):
        with pytest.raises(NotSentAtAll, match="other_address"):
            wire.call_url("POST", url, {}, b"")
    assert server.seen == []


def test_many_threads_share_a_provider(server: Replaying) -> None:
    server.says(Reply(429, {"code": "rate_limited"}, kept=False))
    provider = provider_at("stripe", server.url)
    answers: list[object] = []
    threads = [
        threading.Thread(target=lambda: answers.append(provider.send(order_for("stripe")))) for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == [NotSent("http_429")] * 16


def test_tls_checks_certificates() -> None:
    context = Wire("https://api.stripe.com", 1.0)._ssl_context
    assert context is not None
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
