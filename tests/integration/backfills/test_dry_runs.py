"""A dry run writes nothing but its own rows, and says what the run then does."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.backfills.runs import Run
from tasks.backfills import service
from tests.integration.backfills.generated import Desks, Line, lines
from tests.integration.backfills.runs import Desk, line

TOLD = (
    "rows_read",
    "posted",
    "replayed",
    "unchanged",
    "quarantined",
    "waiting",
    "money",
    "reasons",
    "pause_code",
)


def told(desk: Desk, run: Run) -> dict[str, object]:
    return {name: getattr(run, name) for name in TOLD} | {"codes": desk.codes(run.id)}


def overlay(desk: Desk) -> int:
    with desk.transaction() as session:
        both = "(SELECT count(*) FROM backfill_rehearsed_keys) + (SELECT count(*) FROM backfill_rehearsed_accounts)"
        return int(session.execute(text(f"SELECT {both}")).scalar_one())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=lines(10),
    rows=lines(),
    batch_rows=st.integers(1, 9),
    cap=st.none() | st.integers(0, 300),
)
def test_it_says_what_the_run_then_does(
    desks: Desks, before: list[Line], rows: list[Line], batch_rows: int, cap: int | None
) -> None:
    with desks() as desk:
        desk.run(desk.file(before, "before.csv"))
        stands, file = desk.ledger(), desk.file(rows)
        options = {"force": True}
        dry = desk.run(file, dry_run=True, batch_rows=batch_rows, max_amount_minor=cap)
        assert desk.ledger() == stands
        real = desk.run(file, batch_rows=batch_rows, max_amount_minor=cap, options=options)
        assert told(desk, dry) == told(desk, real)


def test_what_it_worked_out_is_forgotten_at_its_end(desk: Desk) -> None:
    file = desk.file([line(str(number), "ada", 10) for number in range(6)])
    assert desk.run(file, dry_run=True, batch_rows=2).posted == 6
    assert overlay(desk) == 0
    cancelled = desk.start(file, dry_run=True, batch_rows=2)
    turn = desk.batch(cancelled).run.claim_version
    assert overlay(desk) > 0
    desk.do(service.cancel, cancelled)
    desk.batch(cancelled, turn)
    assert (desk.look(cancelled).state, overlay(desk), desk.ledger()) == ("cancelled", 0, [])
