"""Where reports lie: three files a run, each there whole or not at all."""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from itertools import chain
from pathlib import Path

from tasks.reconciliation.report.exports import csv_lines, render_json
from tasks.reconciliation.report.facts import FactsDoNotAddUp, FindingFacts, RunFacts
from tasks.reconciliation.report.page import render_page

MODE = 0o640
"""The owner writes, the group reads; it is about money and has customers' references in it."""


@dataclass(frozen=True, slots=True)
class ReportPaths:
    html: Path
    json: Path
    csv: Path


def report_paths(tenant: str, provider: str, business_date: date, folder: Path) -> ReportPaths:
    """`<tenant>-<provider>-<date>` with .html, .json and .csv.

    Hyphens of the provider, and those that end the tenant, are doubled: no two pairs of names share a file.
    """
    ended = re.sub(r"-+$", lambda match: match[0] * 2, tenant)
    stem = f"{ended}-{provider.replace('-', '--')}-{business_date.isoformat()}"
    return ReportPaths(folder / f"{stem}.html", folder / f"{stem}.json", folder / f"{stem}.csv")


def write_report(facts: RunFacts, folder: Path, *, more: Iterable[FindingFacts] = ()) -> ReportPaths:
    """Write, or write over, the three files; the page comes last, so that who sees it finds the others.

    `more` are the rows that `facts.more` counts: they are streamed into the CSV. Raises FactsDoNotAddUp when they
    are not as many, and OSError; a file that was there before then stays as it was.
    """
    paths = report_paths(facts.tenant, facts.provider, facts.business_date, folder)
    page, told = render_page(facts), render_json(facts)
    folder.mkdir(parents=True, exist_ok=True)
    counted = as_many(more, sum(group.findings for group in facts.more))
    replace(paths.csv, csv_lines(chain(facts.findings, counted)))
    replace(paths.json, [told])
    replace(paths.html, [page])
    return paths


def as_many(findings: Iterable[FindingFacts], expected: int) -> Iterator[FindingFacts]:
    found = 0
    for finding in findings:
        found += 1
        yield finding
    if found != expected:
        raise FactsDoNotAddUp(f"{expected} further findings are counted, {found} were handed over")


def replace(path: Path, texts: Iterable[str]) -> None:
    """Write beside it, then rename: a reader sees the old file or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.writelines(texts)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(MODE)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
