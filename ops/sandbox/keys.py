"""Idempotency: a key keeps the first answer for 24 hours; the same key with another body is refused."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from ops.sandbox.problems import ProblemError
from ops.sandbox.state import Answer, KeptAnswer, State


def once(
    state: State,
    key: str | None,
    body: dict[str, Any],
    retention: timedelta,
    now: datetime,
    process: Callable[[], Answer],
) -> Answer:
    """Process, or replay what was answered under `key`. Raises `ProblemError` 422 for another body.

    Whatever processing answers is kept, declines too. Refusals it raises are not: nothing happened then.
    """
    if key is None:
        return process()
    print_ = fingerprint(body)
    kept = state.kept.get(key)
    if kept is None or kept.kept_until <= now:
        answer = process()
        state.kept[key] = KeptAnswer(print_, answer, now + retention)
        return answer
    if kept.fingerprint != print_:
        raise ProblemError(422, "idempotency_key_reused", "this Idempotency-Key was used with another body")
    return kept.answer


def fingerprint(body: dict[str, Any]) -> str:
    """The same for the same fields and values, however they were written."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
