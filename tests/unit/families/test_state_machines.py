"""ops/state-machines.md is what the code does."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from models.deposits import STATES
from models.jobs.claim import Job
from models.jobs.outcomes import Cooling, Dead, Done, Outcome, Parked, Refused
from models.jobs.outcomes import decide as decide_job
from models.jobs.tables import FINISHED_STATES
from tasks.webhooks.decisions import Apply, Decision, Ignore, Park, Reject
from tasks.webhooks.effects import decide
from tests.unit.families.events import CAPTURED, PROVIDER, after, event, expected
from worker.providers.port import DEPOSIT_MOVES, ProviderEvent

PAGE = Path(__file__).resolve().parents[3] / "ops" / "state-machines.md"
NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)

DEPOSITS = {
    "expected": expected(),
    "failed": after(event("failed")),
    "captured": after(CAPTURED),
    "refunded": after(CAPTURED, event("refunded", 100, "ref-1")),
    "charged_back": after(CAPTURED, event("chargeback", 100, "cb-1")),
}
EVENTS: dict[str, ProviderEvent] = {
    "authorised": event("authorised", object_id="pay-2"),
    "captured 100": event("captured", 100, "cap-2"),
    "capture_total 150": event("capture_total", 150, "cap-1"),
    "failed": event("failed"),
    "expired": event("expired"),
    "refunded 40": event("refunded", 40, "ref-2"),
    "refunded 100": event("refunded", 100, "ref-2"),
    "refunded 101": event("refunded", 101, "ref-2"),
    "refund_total 100": event("refund_total", 100),
    "refund_total 0": event("refund_total", 0, sequence=10),
    "refund_reversed": event("refund_reversed", part="ref-1"),
    "refund_voided 40": event("refund_voided", 40, "ref-3"),
    "released 40": event("released", 40, "ref-4"),
    "chargeback 100": event("chargeback", 100, "cb-2"),
    "chargeback 115": event("chargeback", 115, "cb-2"),
    "chargeback_reversed": event("chargeback_reversed"),
    "capture_reversed": event("capture_reversed", part="cap-1"),
    "returned 40": event("returned", 40, "ret-1"),
    "returned 100": event("returned", 100, "ret-1"),
}
OUTCOMES: dict[str, Outcome] = {
    "Done": Done(),
    "Refused": Refused("limit_exceeded"),
    "Parked": Parked("unknown_reference", ("key",)),
    "Cooling": Cooling("deadlock", NOW + timedelta(seconds=10)),
    "Dead": Dead("malformed_event"),
}
JOB = Job(UUID(int=1), 1, "acme", "webhooks.event", "provider", "key", {}, 0, NOW, None)


def table(section: str, columns: int) -> list[list[str]]:
    """The rows of the section's table, without its head."""
    text = PAGE.read_text(encoding="utf-8").split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    assert all(len(row) == columns for row in rows)
    return [rows[0], *rows[2:]]


def spelled(decision: Decision) -> str:
    match decision:
        case Apply(after=facts):
            return f"→ {facts.state}"
        case Park(reason):
            return f"parked: {reason}"
        case Ignore(reason):
            return f"ignored: {reason}"
        case Reject(code):
            return f"dead: {code}"


def cells() -> list[tuple[str, str, str]]:
    head, *rows = table("Deposits", 6)
    return [(row[0], state, cell) for row in rows for state, cell in zip(head[1:], row[1:], strict=True)]


@pytest.mark.parametrize(("name", "state", "cell"), cells())
def test_each_cell_of_the_deposit_table_is_what_decide_says(name: str, state: str, cell: str) -> None:
    assert DEPOSITS[state].state == state
    assert spelled(decide(DEPOSITS[state], PROVIDER, EVENTS[name])) == cell


def test_the_deposit_table_is_complete() -> None:
    head, *rows = table("Deposits", 6)
    assert tuple(head[1:]) == STATES
    assert [row[0] for row in rows] == list(EVENTS)
    assert {one.move for one in EVENTS.values()} == DEPOSIT_MOVES


def test_the_job_table_is_what_becomes_of_each_outcome() -> None:
    rows = table("Jobs", 4)[1:]
    assert [row[0] for row in rows] == list(OUTCOMES)
    for name, state, final, _ in rows:
        assert decide_job(JOB, OUTCOMES[name], NOW).state == state
        assert (state in FINISHED_STATES) == (final == "yes")
