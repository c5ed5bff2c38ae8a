"""What a generated request needs so that the shim's answer to it can be judged."""

from typing import Any
from uuid import uuid4

import schemathesis


@schemathesis.hook
def before_call(context: schemathesis.HookContext, case: Any, kwargs: dict[str, Any]) -> None:
    """A fresh key, for the same key with another body is rightly refused; and 5 for 5.0.

    JSON Schema calls 5.0 an integer, the contract does not, and no schema can say so.
    """
    key = (case.headers or {}).get("Idempotency-Key")
    if isinstance(key, str) and 0 < len(key.strip()) <= 255 and key.isascii() and key.isprintable():
        case.headers["Idempotency-Key"] = str(uuid4())
    case.body = whole(case.body)


def whole(value: Any) -> Any:
    """The same value with 5 for every 5.0."""
    if isinstance(value, dict):
        return {name: whole(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
