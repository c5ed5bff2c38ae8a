"""JSON as the doors accept it: one reading only.

What two parsers could read differently, and what PostgreSQL's jsonb cannot hold, is refused: duplicate keys,
NaN and Infinity, lone surrogates, NUL, a byte order mark, anything but UTF-8. Depth and numbers are bounded.
"""

import json
import math
import re
from typing import Any, NoReturn

DEPTH_MAX = 64
NUMBER_DIGITS_MAX = 1_000

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class StrictJsonError(ValueError):
    """The body is not strict JSON; the message is one sentence and quotes nothing of the body."""


def loads_strict(body: bytes) -> Any:
    """The value of `body`: integers exact, other numbers as floats. Raises StrictJsonError and nothing else."""
    text = _decoded(body)
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        raise StrictJsonError(f"The body is not JSON (line {error.lineno}, column {error.colno}).") from None
    except RecursionError:
        raise StrictJsonError(_TOO_DEEP) from None
    escaped = "\\u" in text
    if escaped or text.count("{") + text.count("[") > DEPTH_MAX:  # as deep as it has brackets, at the most
        _check(value, texts=escaped)
    return value


_TOO_DEEP = f"The body nests deeper than {DEPTH_MAX} levels."


def _decoded(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise StrictJsonError("The body is not UTF-8.") from None
    if text.startswith("\ufeff"):
        raise StrictJsonError("The body starts with a byte order mark.")
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise StrictJsonError("An object in the body has the same key twice.")
    return value


def _integer(digits: str) -> int:
    return int(_bounded(digits))


def _float(digits: str) -> float:
    value = float(_bounded(digits))
    if math.isinf(value):
        raise StrictJsonError("A number in the body is too large.")
    return value


def _bounded(digits: str) -> str:
    if len(digits) > NUMBER_DIGITS_MAX:
        raise StrictJsonError(f"A number in the body has more than {NUMBER_DIGITS_MAX} digits.")
    return digits


def _constant(name: str) -> NoReturn:
    raise StrictJsonError(f"The body contains {name}, which is not JSON.")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
).decode


def _check(value: Any, *, texts: bool) -> None:
    """Level by level: depth is counted without recursion; texts only where an escape may hide something."""
    level, depth = [value], 0
    while level:
        if texts:
            _check_texts(level)
        containers = [node for node in level if isinstance(node, dict | list)]
        depth += bool(containers)
        if depth > DEPTH_MAX:
            raise StrictJsonError(_TOO_DEEP)
        level = [child for node in containers for child in _children(node)]


def _children(container: dict[str, Any] | list[Any]) -> list[Any]:
    return [*container, *container.values()] if isinstance(container, dict) else container


def _check_texts(level: list[Any]) -> None:
    if any(isinstance(node, str) and _UNSTORABLE.search(node) for node in level):
        raise StrictJsonError("A text in the body has a NUL character or half of a surrogate pair.")
