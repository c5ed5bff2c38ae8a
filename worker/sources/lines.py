"""Lines of an open file from any offset on: read in blocks, one line ahead or many, in bounded memory.

A line keeps no end. One that is longer than LINE_BYTES_MAX is bounded: its rest is read and let go.
"""

from typing import BinaryIO

from worker.providers.records.lines import LINE_BYTES_MAX
from worker.sources.port import RAW_LENGTH_MAX

BLOCK_BYTES = 128 * 1024


class LongLine(bytes):
    """The beginning of a line that was too long to be kept; `size` is how long it was."""

    size: int


def size_of(line: bytes) -> int:
    """Its bytes in the file, without its end."""
    return line.size if isinstance(line, LongLine) else len(line)


class Lines:
    """The lines from where `file` stands. `end` is b"\\n" or b"\\r"."""

    def __init__(self, file: BinaryIO, end: bytes) -> None:
        self._file = file
        self._end = end
        self._ready: list[bytes] = []
        self._at = 0
        self._rest = b""
        self._ended = False

    def take(self) -> bytes | None:
        """The next line; None at the end."""
        if self._at >= len(self._ready) and not self._fill(1):
            return None
        line = self._ready[self._at]
        self._at += 1
        return line

    def ahead(self, number: int) -> bytes | None:
        """The line that the `number`th take() from here would give, from 1 on."""
        if self._at + number > len(self._ready) and not self._fill(number):
            return None
        return self._ready[self._at + number - 1]

    def _fill(self, number: int) -> bool:
        self._ready, self._at = self._ready[self._at :], 0
        while len(self._ready) < number and not self._ended:
            self._more()
        return len(self._ready) >= number

    def _more(self) -> None:
        if len(self._rest) > LINE_BYTES_MAX:
            self._let_go()
            return
        block = self._file.read(BLOCK_BYTES)
        if not block:
            self._ended = True
            if self._rest:
                self._ready.append(self._rest)
            return
        *whole, self._rest = (self._rest + block).split(self._end)
        self._ready += whole

    def _let_go(self) -> None:
        """Reads to the end of a line that is too long, keeping its beginning only."""
        line, size = LongLine(self._rest[: RAW_LENGTH_MAX * 4]), len(self._rest)
        self._rest = b""
        while block := self._file.read(BLOCK_BYTES):
            part, found, self._rest = block.partition(self._end)
            size += len(part)
            if found:
                break
        else:
            self._ended = True
        line.size = size
        *whole, self._rest = self._rest.split(self._end)
        self._ready += [line, *whole]
