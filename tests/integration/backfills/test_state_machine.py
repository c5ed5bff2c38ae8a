"""ops/state-machines.md says what people may ask of a run: each cell is tried."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from models.backfills.runs import NewRun, Run, create_run
from models.backfills.tables import FINAL_STATES, PAUSE_CODES, STATES, backfills
from ops.bootstrap import ROOT
from tasks.backfills import service
from tasks.backfills.service import NotPossible
from worker.database import Transaction

NOW = datetime(2026, 3, 14, 12, tzinfo=UTC)
AT_WORK = {"state": "running", "claimed_until": NOW + timedelta(seconds=30)}
STANDS: Mapping[str, Mapping[str, Any]] = {
    "pending": {},
    "running": {"state": "running"},
    "at work": AT_WORK,
    "paused": {"state": "paused", "pause_code": "asked"},
    "failed": {"state": "failed"},
    "done": {"state": "done", "finished_at": NOW},
    "cancelled": {"state": "cancelled", "finished_at": NOW},
}
ASK: Mapping[str, Callable[..., Run]] = {
    "pause": service.pause,
    "resume": service.resume,
    "cancel": service.cancel,
}


def tables() -> list[list[list[str]]]:
    """The tables of the chapter, each with its head."""
    page = (ROOT / "ops" / "state-machines.md").read_text()
    chapter = page.split("## Backfills\n")[1].split("\n## ")[0]
    blocks = [block for block in chapter.split("\n\n") if block.startswith("|")]
    rows = [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in one.splitlines()] for one in blocks
    ]
    return [[head, *body] for head, _, *body in rows]


def cells() -> list[tuple[str, str, str]]:
    head, *rows = tables()[0]
    return [(row[0], state, cell) for row in rows for state, cell in zip(head[1:], row[1:], strict=True)]


def test_the_tables_are_complete() -> None:
    asked, paused = tables()
    assert asked[0] == ["asked", *STANDS]
    assert [row[0] for row in asked[1:]] == list(ASK)
    assert set(STANDS) - {"at work"} == set(STATES)
    assert [row[0] for row in paused[1:]] == list(PAUSE_CODES)


@pytest.mark.parametrize(("asked", "stands", "cell"), cells())
def test_each_cell_is_what_becomes_of_a_run(
    transaction: Transaction, tenant: str, asked: str, stands: str, cell: str
) -> None:
    new = NewRun(
        id=uuid4(), tenant=tenant, kind="wallet_recalc", source={"type": "wallets"}, namespace="n",
        actor="ops:dana", reason="x", batch_rows=100,
    )  # fmt: skip
    with transaction() as session:
        before, _ = create_run(session, new, now=NOW)
        if STANDS[stands]:
            session.execute(backfills.update().values(**STANDS[stands]))
    assert spelled(transaction, ASK[asked], before) == cell
    with transaction() as session:
        stood = session.execute(backfills.select()).mappings().one()
    assert (stood["finished_at"] is not None) == (stood["state"] in FINAL_STATES)


def spelled(transaction: Transaction, ask: Callable[..., Run], run: Run) -> str:
    try:
        with transaction() as session:
            after = ask(session, run.id, actor="ops:dana", reason="x", now=NOW)
    except NotPossible:
        return "refused"
    return "after its batch" if after.stop_asked else f"→ {after.state}"
