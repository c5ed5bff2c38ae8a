"""Which rows of a file without ids are equal: found in one reading of the whole file; a page alone cannot tell."""

from collections.abc import Sequence
from pathlib import Path

from worker.files.ids import EqualRows, digest_maker, equal_rows
from worker.files.layout import Layout
from worker.files.opening import Beginning, FileFormat, opened
from worker.files.reading import Maker


def equal_rows_of(
    path: Path, format_: FileFormat, layout: Layout, needed: Sequence[str], amounts: frozenset[str]
) -> EqualRows:
    """The rows that are equal in the cells of `digest_of`. Raises SourceFailed."""
    digest = digest_maker(layout.digest_of, {column: number for number, column in enumerate(needed)})
    maker: Maker[tuple[str, int] | None] = Maker(
        lambda cells, line, _text: (digest(cells), line), lambda *_bad: None
    )
    with opened(path) as (file, _):
        begin = Beginning(file, path.name, format_, layout, needed, amounts)
        file.seek(begin.offset)
        found = begin.reader(maker).all(begin.lines(file, begin.offset, begin.line))
        return equal_rows((one for one in found if one is not None), path.name)
