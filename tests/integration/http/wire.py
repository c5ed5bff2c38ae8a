"""Bytes on a socket, for what no HTTP client would send."""

import re
import socket
from contextlib import suppress
from urllib.parse import urlsplit

SECONDS_MAX = 60.0
QUIET_SECONDS = 0.7


def connect(address: str) -> socket.socket:
    parts = urlsplit(address)
    return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=SECONDS_MAX)


def read_all(connection: socket.socket) -> bytes:
    """Until the server closes, or resets, or is quiet for longer than the socket waits."""
    received = b""
    with suppress(ConnectionResetError, TimeoutError):
        while part := connection.recv(65536):
            received += part
    return received


def converse(
    address: str, sent: bytes, *, quiet_seconds: float = QUIET_SECONDS, answers_min: int = 0
) -> bytes:
    """Send it and read until the server closes, or, once it has given so many answers, says nothing for a while."""
    with connect(address) as connection:
        with suppress(OSError):  # the server has had enough; what it said can still be read
            connection.sendall(sent)
        received = read_answers(connection, answers_min)
        connection.settimeout(quiet_seconds)
        return received + read_all(connection)


def read_answers(connection: socket.socket, count: int) -> bytes:
    """Until the beginnings of so many answers are there, or the server closes, or resets."""
    received = b""
    with suppress(ConnectionResetError, TimeoutError):
        while len(statuses(received)) < count and (part := connection.recv(65536)):
            received += part
    return received


def statuses(received: bytes) -> list[int]:
    """Of each answer in what was received."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", received)]
