"""A process of its own that works on one backfill: `python -m tests.bench.backfilling URL FILE NAMESPACE PACE ROWS`.

PACE is `throttle` or `full_speed`, ROWS the most of a batch, 0 for what a run has of itself. Prints JSON: seconds,
rows, and the most memory that it held, in kilobytes.
"""

import json
import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from models.backfills.runs import Run
from tasks.backfills.hands import Hands
from tasks.backfills.port import Pacing, Waiters, full_speed, nobody
from tasks.backfills.service import StartRequest, run_to_end, start
from tasks.backfills.throttle import throttle, waiters
from tests.bench.postings import TENANT
from worker.collecting import collect_seldom
from worker.database import Transaction, make_engine, transactions
from worker.settings import TenantSettings

OWNERS = 10_000
REASON = "promo"
HEADER = "id,owner,amount,at"
AT = 1_773_489_600
PACES: dict[str, tuple[Pacing, Waiters]] = {
    "throttle": (throttle, waiters),
    "full_speed": (full_speed, nobody),
}
MAPPING = {
    "unit": "minor", "currency": "EUR", "reason": REASON, "time_format": "epoch",
    "columns": {"id": "id", "owner": "owner", "amount": "amount", "occurred_at": "at"},
}  # fmt: skip


class NoLocks:
    """Everybody has them."""

    @contextmanager
    def held(self, _name: UUID | str, _seconds: float) -> Iterator[object]:
        yield self


def history(rows: int) -> Iterator[tuple[str, str, int]]:
    """Id, owner and amount of each row: credits of many owners, all from one house account, the one of live work."""
    return ((f"h{n}", f"player-{n * 7919 % OWNERS}", 1 + n % 997) for n in range(rows))


def write_history(path: Path, rows: int) -> Path:
    lines: Iterable[str] = (f"{row_id},{owner},{amount},{AT}\n" for row_id, owner, amount in history(rows))
    with path.open("w") as file:
        file.write(f"{HEADER}\n")
        file.writelines(lines)
    return path


def backfill(
    transaction: Transaction, path: Path, namespace: str, *, pace: str = "full_speed", batch_rows: int = 0
) -> Run:
    """From its start to its end, in this process."""
    pacing, waiting = PACES[pace]
    hands = Hands(
        transaction,
        {TENANT: TenantSettings(name=TENANT)},
        NoLocks(),
        publish=lambda *_: None,
        pace=pacing,
        waiters=waiting,
    )
    source = {"type": "file", "path": str(path), "mapping": MAPPING}
    request = StartRequest(
        uuid4(),
        TENANT,
        "postings",
        source,
        "bench",
        "bench",
        namespace=namespace,
        batch_rows=batch_rows or None,
    )
    with transaction() as session:
        run = start(session, hands.tenants, request, now=datetime.now(UTC))
    return run_to_end(hands, run.id)


def main(url: str, path: str, namespace: str, pace: str, batch_rows: str) -> None:
    collect_seldom()
    engine = make_engine(url, role="ledgerbeat_worker")
    began = time.perf_counter()
    run = backfill(transactions(engine), Path(path), namespace, pace=pace, batch_rows=int(batch_rows))
    seconds = time.perf_counter() - began
    assert (run.state, run.quarantined) == ("done", 0), run
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "rows": run.posted, "peak_kilobytes": peak}))


if __name__ == "__main__":
    main(*sys.argv[1:])
