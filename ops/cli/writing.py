"""Files that commands write for people: what somebody may still need is never written over."""

from pathlib import Path

from models.errors import LedgerbeatError


class CannotWrite(LedgerbeatError):
    """The file cannot be written; the message says why."""


def require_new(*paths: Path) -> None:
    """Raises CannotWrite when one of them is there."""
    if taken := next((path for path in paths if path.exists()), None):
        raise CannotWrite(f"{taken} is there already: name another file")
