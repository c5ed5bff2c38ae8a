"""Free ports are chosen long before somebody listens on them."""

import socket

import pytest

from ops.embedded import ports

FEW = 6


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> range:
    """Hardly any to choose from."""
    chosen = ports.candidates()[:FEW]
    monkeypatch.setattr(ports, "candidates", lambda: chosen)
    monkeypatch.setattr(ports, "_given", set())
    return chosen


def test_a_port_is_given_once(few: range) -> None:
    free = {port for port in few if ports.is_free(port)}
    assert {ports.free_port() for _ in free} == free
    assert ports.free_port() not in few


def test_one_that_is_taken_is_not_given(few: range) -> None:
    free = [port for port in few if ports.is_free(port)]
    with socket.create_server(("127.0.0.1", free[0])):
        assert free[0] not in {ports.free_port() for _ in range(FEW)}


def test_the_one_that_was_had_before_is_given_again(few: range) -> None:
    port = ports.free_port()
    assert [ports.free_port(port) for _ in range(2)] == [port, port]
