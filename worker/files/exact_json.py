"""JSON whose numbers stay as they are written: no float is made, and no digit is lost."""

import json
from collections.abc import Callable
from typing import Any, NoReturn


def exact_decoder(number: Callable[[str], Any]) -> Callable[[str], Any]:
    """A reader of JSON texts that hands each number's text to `number`.

    It raises ValueError for what is not JSON, NaN and Infinity among it, or has a key twice; RecursionError for depth.
    """
    return json.JSONDecoder(
        object_pairs_hook=_object, parse_int=number, parse_float=number, parse_constant=_constant
    ).decode


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("twice")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(name)
