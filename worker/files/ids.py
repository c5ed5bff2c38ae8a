"""Ids of rows: a column, several of them, or a digest where a file has no id.

Several are joined so that no two lists of cells make one id. A digest is of the named cells alone; rows that are equal
in all of them are numbered in their order, so that the same file sent again has the same ids, and each row one.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from worker.files.errors import SourceFailed

DIGEST_ROWS_MAX = 5_000_000
"""Rows of one file that are told apart: sixteen bytes each while their digests are compared."""
BUCKETS = 64
"""Digests are compared part by part, since a list of all of them would be several times as large."""

Cells = Sequence[str]
ReadId = Callable[[str, str], str]
"""(text, column) -> the text, or Unreadable."""
IdMaker = Callable[[Cells, int | None], str]
"""(cells, line) -> the id. Raises Unreadable."""


class EqualRows:
    """Which rows of one file have the same digest, by the lines that they begin in."""

    def __init__(self, lines: Mapping[int, Sequence[int]]) -> None:
        self._lines = lines

    def number(self, digest: str, line: int | None) -> int:
        """Which of the equal rows this is, from 1 on."""
        found = self._lines.get(_short(digest))
        return 1 if found is None or line is None else bisect_left(found, line) + 1


NO_EQUAL_ROWS = EqualRows({})


def id_maker(
    columns: tuple[str, ...],
    digest_of: tuple[str, ...],
    at: Mapping[str, int],
    equal: EqualRows,
    read: ReadId,
) -> IdMaker:
    """`at` says where a column stands among the cells."""
    if digest_of:
        digest = digest_maker(digest_of, at)
        return lambda cells, line: _numbered(digest(cells), line, equal)
    places = [(at[column], column) for column in columns]
    if len(places) == 1:
        ((here, column),) = places
        return lambda cells, _line: read(cells[here], column)
    names = " and ".join(columns)
    return lambda cells, _line: read(joined([read(cells[here], column) for here, column in places]), names)


def joined(parts: Iterable[str]) -> str:
    """One id of several; a colon inside of a part is written with a backslash."""
    return ":".join(part.replace("\\", "\\\\").replace(":", "\\:") for part in parts)


def digest_maker(digest_of: tuple[str, ...], at: Mapping[str, int]) -> Callable[[Cells], str]:
    """Of the cells of these columns, in hexadecimal."""
    places = [at[column] for column in digest_of]

    def digest(cells: Cells) -> str:
        text = "".join(f"{len(cells[here])}:{cells[here]}" for here in places)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]

    return digest


def equal_rows(digests: Iterable[tuple[str, int]], name: str) -> EqualRows:
    """Of (digest, line) of every row of a file. Raises SourceFailed for more than DIGEST_ROWS_MAX."""
    buckets = [(array("Q"), array("Q")) for _ in range(BUCKETS)]
    for number, (digest, line) in enumerate(digests):
        if number >= DIGEST_ROWS_MAX:
            raise SourceFailed(
                f"{name} has more than {DIGEST_ROWS_MAX:,} rows without an id: split it, by days for one"
            )
        short = _short(digest)
        shorts, lines = buckets[short % BUCKETS]
        shorts.append(short)
        lines.append(line)
    found: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
    for shorts, lines in buckets:
        repeated = _repeated(shorts)
        for short, line in zip(shorts, lines, strict=True):
            if short in repeated:
                found[short].append(line)
    return EqualRows(dict(found))


def _repeated(shorts: Iterable[int]) -> set[int]:
    seen, repeated = -1, set[int]()
    for short in sorted(shorts):
        if short == seen:
            repeated.add(short)
        seen = short
    return repeated


def _numbered(digest: str, line: int | None, equal: EqualRows) -> str:
    number = equal.number(digest, line)
    return digest if number == 1 else f"{digest}:{number}"


def _short(digest: str) -> int:
    return int(digest[:16], 16)
