"""What can go wrong while servers are started for development and tests: one kind of error, one message."""

from pathlib import Path

from models.errors import LedgerbeatError


class EmbeddedError(LedgerbeatError):
    """A server could not be found, started or stopped; the message says what was seen and what to do."""


def tail(log: Path, since: int = 0, lines: int = 12) -> str:
    """The last lines that were written to `log` after byte `since`."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
