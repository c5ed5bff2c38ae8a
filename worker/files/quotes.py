"""Whether a quoted cell of CSV is open, and stays so across the ends of lines (RFC 4180).

It works on bytes: a damaged letter hides no quote. Well-formed text it judges as the module `csv` does. A quote inside
a quoted cell that is neither doubled nor followed by a delimiter or the end of the line is a writer's slip, and the
cell stays open: what stands behind it may be a stranger's text, and no reader can know that it is not.
"""

import re
from functools import cache

_BETWEEN, _UNQUOTED, _OPEN, _ENDING, _ENDED = range(5)
"""Before a cell's first letter; in a cell without quotes; in a quoted one; behind a quote that may end it; and behind
spaces after that."""

QUOTE = ord('"')
SPACE = ord(" ")


class Quotes:
    """Fed with the pieces of one line. `opened`: how often a quoted cell began."""

    __slots__ = ("_state", "_tokens", "opened")

    def __init__(self, delimiter: bytes, *, is_open: bool) -> None:
        self._tokens = _tokens(delimiter)
        self._state = _OPEN if is_open else _BETWEEN
        self.opened = 0

    @property
    def is_open(self) -> bool:
        """Would the line end inside of a quoted cell, if it ended here?"""
        return self._state == _OPEN

    def feed(self, piece: bytes) -> None:
        """More of the line; a piece may end anywhere."""
        if self._state == _OPEN and b'"' not in piece:
            return
        for token in self._tokens.finditer(piece):
            first, length = piece[token.start()], token.end() - token.start()
            if first == QUOTE:
                self._quotes(length)
            elif first == SPACE:
                self._state = _ENDED if self._state == _ENDING else self._state
            elif token.lastgroup == "between":
                self._state = _OPEN if self._state == _OPEN else _BETWEEN
            else:
                self._state = _UNQUOTED if self._state in (_BETWEEN, _UNQUOTED) else _OPEN

    def _quotes(self, length: int) -> None:
        """A pair inside of a quoted cell is one quote of its text."""
        if self._state == _UNQUOTED:
            return
        if self._state == _BETWEEN:
            self.opened += 1
            length -= 1
        is_odd = length % 2 == 1
        ends = not is_odd if self._state == _ENDING else is_odd
        self._state = _ENDING if ends else _OPEN


@cache
def _tokens(delimiter: bytes) -> re.Pattern[bytes]:
    between = re.escape(delimiter) + rb"\r\n"
    return re.compile(rb'"+| +|(?P<between>[' + between + rb'])|[^" ' + between + rb"]+")
