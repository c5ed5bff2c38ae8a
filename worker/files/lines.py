"""Lines of an open file from any offset on: read in blocks, in bounded memory.

A line keeps no end. One that is longer than RECORD_BYTES_MAX is bounded: its rest is read and let go, but for what its
quotes do to the lines behind it.
"""

from typing import Protocol

from worker.files.quotes import Quotes

RECORD_BYTES_MAX = 64 * 1024
"""No record is longer, however many lines it has."""
BLOCK_BYTES = 128 * 1024
KEPT_BYTES = 16 * 1024
"""Of a line that is too long."""


class ByteStream(Protocol):
    """Bytes that come one block after the other."""

    def read(self, size: int, /) -> bytes:
        """At most `size` of them; none at the end."""


class LongLine(bytes):
    """The beginning of a line that was too long to be kept; `size` is how long it was. `from_closed` and `from_open`
    are its quotes, by whether it begins outside or inside of a quoted cell."""

    size: int
    from_closed: Quotes
    from_open: Quotes


def size_of(line: bytes) -> int:
    """Its bytes in the file, without its end."""
    return line.size if isinstance(line, LongLine) else len(line)


class Lines:
    """The lines from where `file` stands. `end` is b"\\n" or b"\\r"; `delimiter` is that of the cells."""

    def __init__(self, file: ByteStream, end: bytes, delimiter: bytes) -> None:
        self._file = file
        self.end = end
        self.delimiter = delimiter
        self._ready: list[bytes] = []
        self._at = 0
        self._rest = b""
        self._ended = False

    def take(self) -> bytes | None:
        """The next line; None at the end."""
        if self._at >= len(self._ready) and not self._fill():
            return None
        line = self._ready[self._at]
        self._at += 1
        return line

    def quotes(self, line: bytes, *, is_open: bool) -> Quotes:
        """What a line's quotes do, when it begins outside or inside of a quoted cell."""
        if isinstance(line, LongLine):
            return line.from_open if is_open else line.from_closed
        found = Quotes(self.delimiter, is_open=is_open)
        found.feed(line)
        return found

    def _fill(self) -> bool:
        self._ready, self._at = [], 0
        while not self._ready and not self._ended:
            self._more()
        return bool(self._ready)

    def _more(self) -> None:
        if len(self._rest) > RECORD_BYTES_MAX:
            self._let_go()
            return
        block = self._file.read(BLOCK_BYTES)
        if not block:
            self._ended = True
            if self._rest:
                self._ready.append(self._rest)
            return
        *whole, self._rest = (self._rest + block).split(self.end)
        self._ready += whole

    def _let_go(self) -> None:
        """Reads to the end of a line that is too long, keeping its beginning only."""
        line, size, piece = LongLine(self._rest[:KEPT_BYTES]), 0, self._rest
        line.from_closed = Quotes(self.delimiter, is_open=False)
        line.from_open = Quotes(self.delimiter, is_open=True)
        found = self._rest = b""
        while piece and not found:
            part, found, self._rest = piece.partition(self.end)
            size += len(part)
            line.from_closed.feed(part)
            line.from_open.feed(part)
            piece = b"" if found else self._file.read(BLOCK_BYTES)
        self._ended = not found
        line.size = size
        *whole, self._rest = self._rest.split(self.end)
        self._ready += [line, *whole]
