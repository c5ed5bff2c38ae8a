"""What logs, events and Flower may see of a message to the Celery door: names and keys, never the arguments."""

from collections.abc import Sequence
from typing import Any

from celery.worker.request import Request

SHOWN = ("tenant", "name", "idempotency_key")
LENGTH_MAX = 64


class DoorRequest(Request):
    """A `jobs.accept` message. The task itself still gets its arguments, from the message's body."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shown = redact(self.args, self.kwargs)
        self._args, self._kwargs = (), shown
        self._argsrepr, self._kwargsrepr = "()", repr(shown)
        self.request_dict.update(args=(), kwargs=shown, argsrepr="()", kwargsrepr=repr(shown))


def redact(args: Sequence[object], kwargs: dict[str, object]) -> dict[str, str]:
    """What may be shown of a call, by position or by keyword. Values are cut; what is not text shows its type."""
    given = dict(zip(SHOWN, args, strict=False)) | kwargs
    return {name: _short(given[name]) for name in SHOWN if name in given}


def _short(value: object) -> str:
    return value[:LENGTH_MAX] if isinstance(value, str) else type(value).__name__
