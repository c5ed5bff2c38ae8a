"""JSON lines: one object a line. Numbers stay as they are written."""

from collections.abc import Sequence
from typing import Any

from worker.files.cells import Number
from worker.files.errors import Refused
from worker.files.exact_json import exact_decoder
from worker.files.reading import TextLines

_decode = exact_decoder(Number)


class JsonlFormat:
    """Cells come in the order of `needed`; a field that is missing or null is empty."""

    def __init__(self, needed: Sequence[str], amounts: frozenset[str]) -> None:
        self._paths = [(column, column.split("."), column in amounts) for column in needed]

    def cells(self, text: str, raw: bytes, lines: TextLines) -> tuple[list[str], str]:  # noqa: ARG002 - a line is whole
        """Raises Refused."""
        try:
            value = _decode(text)
        except (ValueError, RecursionError):
            raise Refused("not_json", "the line is not JSON, or a key stands twice in it") from None
        if not isinstance(value, dict):
            raise Refused("not_json", "the line is not a JSON object")
        try:
            return [_cell(value, *path) for path in self._paths], text
        except Refused as refused:
            refused.cells = [_readable(value, *path) for path in self._paths]
            raise

    def refused(self, refused: Refused, raw: bytes, lines: TextLines) -> Refused:  # noqa: ARG002 - a line is whole
        """A record is one line, whatever is wrong with it."""
        return refused


def _readable(value: dict[str, Any], column: str, path: list[str], is_amount: bool) -> str:
    try:
        return _cell(value, column, path, is_amount)
    except Refused:
        return ""


def _cell(value: dict[str, Any], column: str, path: list[str], is_amount: bool) -> str:
    found: Any = value
    for name in [column] if column in value else path:
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        return ""
    if isinstance(found, Number):
        if not is_amount and not found.removeprefix("-").isdigit():
            raise Refused(
                "bad_number", f"{column} is a number with a fraction or an exponent: send it as a text"
            )
        return found if is_amount else str(found)
    if not isinstance(found, str):
        raise Refused("bad_field", f"{column} is neither a text nor a number")
    return found.strip()
