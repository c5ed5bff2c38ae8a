"""Arguments as PostgreSQL keeps them: jsonb holds more than Python reads."""

import json
from typing import Any


def readable(written: str) -> dict[str, Any] | None:
    """The arguments of a job from jsonb's text.

    None when Python cannot read them: a number of thousands of digits, or thousands of levels. An app may hand in such
    a job by SQL; to read it must not fail, or its lane would stand still for ever.
    """
    try:
        found: dict[str, Any] = json.loads(written)
    except (ValueError, RecursionError):
        return None
    return found
