"""A process of its own that runs a night over so many records, and prints the most memory it held, in kilobytes."""

import resource
import sys
from collections.abc import Iterator
from datetime import timedelta

from tasks.reconciliation.service import reconcile
from tests.integration.reconciliation.books import NIGHT, NOON, record
from worker.database import make_engine, transactions
from worker.providers.records.port import BadRow, Record, Window


class Endless:
    """So many records that the ledger knows nothing of, made as they are read."""

    def __init__(self, rows: int) -> None:
        self.rows = rows

    def read(self, _window: Window) -> Iterator[Record | BadRow]:
        for number in range(self.rows):
            yield record(f"reference {number}", 1 + number % 999)


def main(database_url: str, rows: int) -> None:
    engine = make_engine(database_url, role="ledgerbeat_worker")
    source, now = Endless(rows), NOON + timedelta(days=3)
    report = reconcile(
        transactions(engine), "acme", "sandbox", NIGHT, source, clock=lambda: now, with_checks=False
    )
    assert report.findings == {"missing_in_ledger": rows}, report
    assert report.adds_up
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
