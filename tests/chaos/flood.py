"""Fairness: how much of one tenant's flood is done while another tenant's job waits. Counted, not timed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from tasks.intake.service import BATCH_ROWS_MAX
from tests.e2e.app import App
from tests.e2e.clients import accepted, post_all
from tests.e2e.running import Running
from tests.waiting import until

PROBES = 10
OWNERS = 50
BATCHES_MAX = 5.0
FLOODED_SECONDS = 240.0
ROWS_AT_ONCE = 5000

FLOOD = """
    SELECT count(enqueue_job(%s, 'wallets.credit', 'flood-' || n, jsonb_build_object('owner', 'owner-' || n %% %s,
        'amount_minor', 1, 'currency', 'EUR', 'reason', 'flood'))) FROM generate_series(%s::int, %s::int) n
"""

# Flood jobs that came to their end between the other job's acceptance and its own end.
OVERTAKEN = """
    SELECT (SELECT count(*) FROM jobs f WHERE f.tenant = %s AND f.finished_at BETWEEN j.accepted_at AND j.finished_at)
    FROM jobs j WHERE j.tenant = %s AND j.finished_at IS NOT NULL ORDER BY j.seq
"""


@dataclass(frozen=True, slots=True)
class Flood:
    """What became of the others' jobs, in batches of the flood."""

    jobs: int
    batch_rows: int
    batches: Sequence[float]
    unfinished: int

    @property
    def median(self) -> float:
        return median(self.batches)

    @property
    def worst(self) -> float:
        return max(self.batches)

    def wrong(self) -> list[str]:
        faults = []
        if self.worst > BATCHES_MAX:
            faults.append(f"a flood kept another tenant's job waiting for {self.worst:.1f} batches")
        if self.unfinished == 0:
            faults.append("the flood was over before the last of the others' jobs: nothing was measured")
        return faults


def flood(running: Running, flooded: App, other: App, jobs: int) -> Flood:
    """`jobs` jobs of one tenant at once, and spread over the time they take one job after another of another tenant."""
    enqueue(running, flooded.tenant, jobs)
    for number in range(PROBES):
        left = jobs - jobs * (number + 1) // (PROBES + 2)
        until(
            partial(_has_come_to, flooded, left), within_seconds=FLOODED_SECONDS, what="the flood's next part"
        )
        accepted(post_all(other.url, [other.credit(f"single-{number}")], clients=1))
        other.settle(jobs=number + 1)
    left = flooded.unfinished()
    until(lambda: flooded.unfinished() == 0, within_seconds=FLOODED_SECONDS, what="the end of the flood")
    with running.connect() as connection:
        rows = connection.execute(OVERTAKEN, (flooded.tenant, other.tenant)).fetchall()
    return Flood(jobs, BATCH_ROWS_MAX, [round(_number(row[0]) / BATCH_ROWS_MAX, 2) for row in rows], left)


def enqueue(running: Running, tenant: str, jobs: int) -> None:
    """By the SQL door, all of them before the first is done."""
    with running.connect() as connection:
        for first in range(1, jobs + 1, ROWS_AT_ONCE):
            last = min(first + ROWS_AT_ONCE - 1, jobs)
            connection.execute(FLOOD, (tenant, OWNERS, first, last))


def _has_come_to(flooded: App, unfinished: int) -> bool:
    return flooded.unfinished() <= unfinished


def _number(value: object) -> int:
    assert isinstance(value, int)
    return value
