"""JSON as a provider may send it: whatever is authentic is read, and nothing is read in two ways.

A provider's text is not ours to refuse: half a surrogate pair (a text cut in the middle of an emoji), NUL, a number of
any size or a key that stands twice matter only where something is read of them. Texts and numbers stay what they are,
and the readers of worker.providers.fields take none of them for a reference, an id or an amount. A key that stands
twice raises NotUnderstood when it is asked for: no reader chooses between two values. What is not JSON is refused.
"""

import json
import math
import re
from typing import Any, NoReturn

from worker.providers.port import MalformedEvent

NUMBER_DIGITS_MAX = 1_000
"""A longer number is read as NaN: of such a one nothing is ever an amount."""

_LONG_NUMBER = re.compile(rf"(?<![0-9.])[0-9.]{{{NUMBER_DIGITS_MAX + 1}}}")


class NotUnderstood(ValueError):
    """An authentic event lacks what its move needs. The message names the field, not its content."""


class TooDeep(MalformedEvent):
    """It may well be JSON, and nests deeper than can be read."""


class Ambiguous(dict[str, Any]):
    """An object in which some keys stand twice: to ask for one raises NotUnderstood. Written, it is as it was."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self._pairs = pairs
        seen: set[str] = set()
        self._twice = {name for name, _ in pairs if name in seen or seen.add(name)}  # type: ignore[func-returns-value]

    def __getitem__(self, name: str) -> Any:
        self._check(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As of any mapping."""
        self._check(name)
        return super().get(name, default)

    def items(self) -> list[tuple[str, Any]]:  # type: ignore[override]  # no view: it may name a key twice
        """All members, in order."""
        return self._pairs

    def _check(self, name: str) -> None:
        if name in self._twice:
            raise NotUnderstood(f"{name} stands twice in its object")


def json_object(body: bytes, containers_max: int | None = None) -> dict[str, Any]:
    """The body as a JSON object. Raises MalformedEvent; TooDeep, which is one.

    `containers_max` bounds its objects and lists before it is read, for a body that nobody has signed as a whole: they
    are what reading costs most.
    """
    text = _decoded(body)
    if containers_max is not None and text.count("{") + text.count("[") > containers_max:
        raise MalformedEvent(f"The body has more than {containers_max} objects and lists.")
    decode = _decode_bounded if _LONG_NUMBER.search(text) else _decode
    try:
        value = decode(text)
    except json.JSONDecodeError as error:
        raise MalformedEvent(f"The body is not JSON (line {error.lineno}, column {error.colno}).") from None
    except RecursionError:
        raise TooDeep("The body nests too deeply to be read.") from None
    if not isinstance(value, dict):
        raise MalformedEvent("The body is not a JSON object.")
    return value


def written(value: object) -> bytes:
    """The JSON of what was read, to be read again: a key that stood twice does, an infinite number is a text."""
    try:
        return _encode(value).encode()
    except ValueError:
        return _encode(_finite(value)).encode()


def _finite(value: object) -> object:
    match value:
        case Ambiguous():
            return Ambiguous([(name, _finite(member)) for name, member in value.items()])
        case dict():
            return {name: _finite(member) for name, member in value.items()}
        case list():
            return [_finite(member) for member in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value


def _decoded(body: bytes) -> str:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedEvent("The body is not UTF-8.") from None
    if text.startswith("\ufeff"):
        raise MalformedEvent("The body starts with a byte order mark.")
    return text


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    return value if len(value) == len(pairs) else Ambiguous(pairs)


def _integer(digits: str) -> float | int:
    return int(digits) if len(digits) <= NUMBER_DIGITS_MAX else math.nan


def _float(digits: str) -> float:
    return float(digits) if len(digits) <= NUMBER_DIGITS_MAX else math.nan


def _constant(name: str) -> NoReturn:
    raise MalformedEvent(f"The body contains {name}, which is not JSON.")


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=str).encode
_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant).decode
_decode_bounded = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
).decode
