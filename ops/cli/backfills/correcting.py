"""The quarantine of a run: shown, or written as a file that can be corrected and fed again as it is.

    FILE            the rows as the source had them, under its header, with as many lines around them as the mapping
                    leaves out; those of a query as JSON lines
    FILE.why.csv    for each of them where it stood, and what is wrong with it

Corrected rows go in under the same mapping and namespace, so a row that was posted meanwhile is a replay.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from models.backfills.quarantine import Quarantined
from models.backfills.runs import Run
from ops.cli.writing import CannotWrite, require_new
from worker.sources.files import FileSource
from worker.sources.mapping import legacy_mapping
from worker.sources.port import RAW_LENGTH_MAX, RowKind, SourceFailed

WHY = ("row", "line", "place", "id", "code", "reason", "cut")
LEFT_OUT = "-\n"
"""A line that the mapping's skip_last leaves out: the file is read by the same mapping as its source."""
CHANGED_CODES = frozenset({"undecodable", "nul", "too_long"})
"""Of such a row the text is not what the source has: a byte or more of it could not be kept."""


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it. `cut` rows are not whole: take them from the source, by their line."""

    path: Path
    why: Path
    format: str
    rows: int
    cut: int


def write_quarantine(run: Run, rows: Iterator[Quarantined], path: Path) -> Written:
    """Raises CannotWrite: a file is there already, or the header cannot be had any more."""
    mapping = run.source.get("mapping") or {}
    encoding, header = str(mapping.get("encoding", "utf-8")), _header(run)
    before, behind = "\n" * mapping.get("skip_lines", 0), LEFT_OUT * mapping.get("skip_last", 0)
    why = path.with_name(f"{path.name}.why.csv")
    require_new(path, why)
    try:
        with (
            path.open("x", encoding=encoding, errors="backslashreplace", newline="") as file,
            why.open("x", encoding="utf-8", newline="") as reasons,
        ):
            file.write(before)
            counts = _write(rows, header, file, reasons)
            file.write(behind)
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written ({error.strerror})") from None
    return Written(path, why, "jsonl" if header is None else "csv", *counts)


def is_cut(row: Quarantined) -> bool:
    """Is its text less than, or other than, what the source has?"""
    return row.code in CHANGED_CODES or len(row.raw) >= RAW_LENGTH_MAX


def _write(rows: Iterator[Quarantined], header: str | None, file: TextIO, reasons: TextIO) -> tuple[int, int]:
    told: Any = csv.writer(reasons)
    told.writerow(WHY)
    if header is not None:
        file.write(f"{header}\n")
    number = cut = 0
    for number, row in enumerate(rows, 1):
        file.write(f"{row.raw}\n")
        told.writerow(
            (number, row.line, row.place, row.row_id, row.code, row.reason, "cut" if is_cut(row) else "")
        )
        cut += is_cut(row)
    return number, cut


def _header(run: Run) -> str | None:
    """Of a CSV file; nothing else has one."""
    source, kind = run.source, run.kind
    if source.get("type") != "file" or source.get("format") != "csv" or kind == "provider_events":
        return None
    row_kind: RowKind = "opening_balances" if kind == "opening_balances" else "postings"
    try:
        mapping = legacy_mapping(source["mapping"], row_kind)
        return FileSource(Path(str(source["path"])), "csv", mapping, row_kind).header()
    except SourceFailed as failed:
        raise CannotWrite(f"the header is wanted: {failed}. Run this where {source['path']} is") from None
