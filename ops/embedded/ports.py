"""Free ports on 127.0.0.1 for servers that only we talk to."""

import json
import random
import socket
from pathlib import Path

TRIES_MAX = 200
_given: set[int] = set()
"""By this process. Whoever asked may not listen yet, so each is given once."""


def is_free(port: int) -> bool:
    """Could a server listen there now? Connections that are closing do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_port(preferred: int | None = None) -> int:
    """`preferred` when it is free, else any free port.

    Not one of those the system gives to outgoing connections: while a server is down its clients keep trying,
    and one of them, given the server's own port, would connect to itself and keep the server from coming back.
    """
    if preferred and is_free(preferred):
        return preferred
    below = candidates()
    for port in random.sample(below, min(TRIES_MAX, len(below))):
        if port not in _given and is_free(port):
            _given.add(port)
            return port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def candidates() -> range:
    """Those that servers without a number of their own may have."""
    return range(15_000, outgoing_from())


def outgoing_from() -> int:
    """The lowest port of the system's range for outgoing connections."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 49_152  # the range of RFC 6335, which macOS uses


class RememberedPorts:
    """The ports a home used last: taken again when free, so that addresses stay the same, and never relied on."""

    def __init__(self, home: Path) -> None:
        self._file = home / "ports.json"

    def pick(self, name: str) -> int:
        return free_port(self._read().get(name))

    def remember(self, name: str, port: int) -> None:
        self._file.write_text(json.dumps({**self._read(), name: port}) + "\n")

    def _read(self) -> dict[str, int]:
        try:
            found = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return {n: p for n, p in found.items() if isinstance(p, int)} if isinstance(found, dict) else {}
