"""A run needs as much memory for a large file as for a small one."""

import tracemalloc
from pathlib import Path

from tests.integration.backfills.runs import Desk


def written(path: Path, rows: int, name: str) -> Path:
    with path.open("w") as file:
        file.write("id,owner,to,amount,currency,at\n")
        for number in range(rows):
            file.write(f"{name}{number},owner-{number % 9},,10,EUR,2025-01-01T10:00:00Z\n")
    return path


def peak(desk: Desk, rows: int, name: str) -> int:
    run_id = desk.start(written(desk.folder / f"{name}.csv", rows, name), batch_rows=200)
    tracemalloc.start()
    try:
        assert desk.work(run_id).posted == rows
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(desk: Desk) -> None:
    peak(desk, 400, "warm")
    small, large = peak(desk, 600, "small"), peak(desk, 6000, "large")
    assert large < 1.5 * small
