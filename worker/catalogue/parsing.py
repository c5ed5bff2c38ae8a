"""From arguments as they came to a checked schema, or to errors that point at what is wrong."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from models.errors import InvalidArguments
from worker.catalogue.fields import Arguments

A = TypeVar("A", bound=Arguments)

ERRORS_MAX = 20
NAME_LENGTH_MAX = 100

MESSAGES: Mapping[str, str] = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "int_type": "A JSON integer is expected.",
    "float_type": "A JSON number is expected.",
    "finite_number": "A finite number is expected.",
    "bool_type": "true or false is expected.",
    "string_type": "A JSON string is expected.",
    "tuple_type": "A JSON array is expected.",
    "model_type": "A JSON object is expected.",
    "greater_than_equal": "At least {ge} is expected.",
    "less_than_equal": "At most {le} is expected.",
    "too_short": "At least {min_length} items are expected.",
    "too_long": "At most {max_length} items are expected.",
    "string_pattern_mismatch": "A string that matches {pattern} is expected.",
    "literal_error": "One of {expected} is expected.",
    "value_error": "{error}",
}


def parse_as(schema: type[A], args: object) -> A:
    """`args` checked as `schema`. Raises InvalidArguments, whose errors quote no value of `args`."""
    try:
        return schema.model_validate(args)
    except ValidationError as error:
        raise InvalidArguments("the arguments do not fit the job's schema", _explain(error)) from None


def pointer(path: Sequence[str | int]) -> str:
    """The JSON pointer of RFC 6901: ("awards", 0, "a/b") -> "/awards/0/a~1b"."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def _explain(error: ValidationError) -> list[dict[str, Any]]:
    found = error.errors(include_input=False, include_url=False)
    inner = {entry["loc"][:depth] for entry in found for depth in range(len(entry["loc"]))}
    # An array with a bad item is also reported as too short: only the item is news.
    told = [entry for entry in found if not (entry["type"] == "too_short" and entry["loc"] in inner)]
    return [_problem(entry["type"], entry["loc"], entry.get("ctx", {})) for entry in told[:ERRORS_MAX]]


def _problem(kind: str, path: tuple[str | int, ...], facts: Mapping[str, Any]) -> dict[str, str]:
    if path and len(str(path[-1])) > NAME_LENGTH_MAX:
        return {
            "pointer": pointer(path[:-1]),
            "message": "There is a field with a name longer than any known.",
        }
    return {
        "pointer": pointer(path),
        "message": MESSAGES.get(kind, "This value is not expected here.").format(**facts),
    }
