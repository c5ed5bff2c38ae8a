"""The memory of a run does not grow with its feed, not even when every record of it is a finding."""

import subprocess
import sys
from pathlib import Path

from tests.integration.reconciliation.books import Books

ROOT = Path(__file__).resolve().parents[3]
MEGABYTE = 1024  # in kilobytes


def peak(database_url: str, rows: int) -> int:
    argv = [sys.executable, "-m", "tests.integration.reconciliation.remembering", database_url, str(rows)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return int(done.stdout.split()[-1])


def test_memory_does_not_grow_with_the_feed(books: Books, database_url: str) -> None:
    few, many = peak(database_url, 12_000), peak(database_url, 60_000)
    assert many - few < 8 * MEGABYTE, (
        f"{few // MEGABYTE} MB for 12,000 records, {many // MEGABYTE} MB for 60,000"
    )
