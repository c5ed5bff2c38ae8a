"""`ledgerbeat backfill quarantine` and `dismiss`: what was set aside, and what nobody is going to feed again."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import click

from models.backfills.closing import Dismissed, Which, count_aside, dismiss
from models.backfills.quarantine import Quarantined, all_quarantined, quarantined
from models.backfills.runs import Run, known_run
from models.backfills.tables import CLOSED_STATES, QUARANTINE_STATES
from ops.cli.backfills.asking import ROW_KINDS
from ops.cli.backfills.correcting import write_quarantine
from ops.cli.backfills.options import AS_PATH, decided
from ops.cli.connection import session
from ops.cli.options import require_signature
from ops.cli.output import as_json, print_json, print_table

STILL = ("open", "waiting")
LINE = "line "
SHOWN_LENGTH = 100
ROWS = 50


@click.command("quarantine")
@click.argument("run_id", metavar="ID", type=click.UUID)
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([*QUARANTINE_STATES, "all"]),
    default=STILL,
    show_default=True,
    help="May be given several times.",
)
@click.option("--out", type=AS_PATH, help="Write all of them into this file, and why into FILE.why.csv.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=ROWS, show_default=True)
@as_json
def show(run_id: UUID, states: tuple[str, ...], out: Path | None, limit: int, as_json: bool) -> None:
    """Rows that were set aside, with line and reason; --out makes a file of them, if any, to correct and feed again.

    They close by themselves when a later run brings them; see dismiss for those that no run will.
    """
    wanted = QUARANTINE_STATES if "all" in states else states
    with session() as opened:
        run = known_run(opened, run_id)
        counts = count_aside(opened, run_id)
        if out is not None and any(counts.get(state) for state in wanted):
            _write(run, all_quarantined(opened, run_id, states=wanted), out)
            return
        rows = quarantined(opened, run_id, states=wanted, rows=limit)
    if as_json:
        print_json(rows)
    else:
        _print(run, rows, counts, wanted)


@click.command("dismiss")
@decided
@click.argument("places", metavar="[PLACE]...", nargs=-1)
@click.option("--code", "codes", multiple=True, help="All that were set aside for this, such as conflict.")
@click.option("--all", "everything", is_flag=True, help="All that are open.")
def let_go(
    run_id: UUID,
    places: tuple[str, ...],
    codes: tuple[str, ...],
    everything: bool,
    actor: str,
    reason: str,
    as_json: bool,
) -> None:
    """Close rows that no run will bring: PLACE is the line, or what quarantine shows as the place. Safe to repeat."""
    require_signature(actor, reason)
    if [bool(places), bool(codes), everything].count(True) != 1:
        raise click.UsageError("name the places, or --code, or --all")
    which = Which([place.removeprefix(LINE) for place in places] or None, codes or None)
    with session() as opened:
        done = dismiss(opened, run_id, which, actor=actor, reason=reason, now=datetime.now(UTC))
    if as_json:
        print_json({"dismissed": done.closed, "were_closed_already": done.before, "waiting": done.waiting})
    else:
        _tell(done)


def _tell(done: Dismissed) -> None:
    click.echo(f"dismissed: {done.closed:,} rows")
    if done.before:
        click.echo(f"closed already: {done.before:,}")
    if done.waiting:
        click.echo(f"left to their run, which looks at them again: {done.waiting:,} wait for money")


def _print(run: Run, rows: Sequence[Quarantined], counts: Mapping[str, int], wanted: Sequence[str]) -> None:
    closed = any(row.closed_by for row in rows)
    there_are = sum(counts.get(state, 0) for state in wanted)
    print_table(
        ("place", "id", "code", "reason", *(("closed",) if closed else ()), "row"),
        [
            (_place(row), row.row_id, row.code, row.reason, *((_closed(row),) if closed else ()), _shortened(row.raw))
            for row in rows
        ],
        empty=_none(counts, wanted),
    )  # fmt: skip
    if len(rows) < there_are:
        click.echo(f"the first {len(rows):,} of {there_are:,}: --limit, or --out FILE for all")
    if counts.get("open") and not run.dry_run:
        click.echo(f"what is not to be fed again: ledgerbeat backfill dismiss {run.id} PLACE --reason ...")


def _none(counts: Mapping[str, int], wanted: Sequence[str]) -> str:
    if not counts:
        return "nothing was set aside"
    if "open" in wanted:
        return "none is open; --state all shows those that are closed"
    return f"none is {' or '.join(wanted)}; --state all shows the others"


def _write(run: Run, rows: Iterator[Quarantined], out: Path) -> None:
    written = write_quarantine(run, rows, out)
    click.echo(f"{written.rows:,} rows: {written.path}; why, in the same order: {written.why}")
    if written.cut:
        click.echo(
            f"{written.cut:,} of them are not whole ('cut'): take those from the source, by their line"
        )
    if run.kind in ROW_KINDS:
        mapping = f"--source {run.source['name']}" if "name" in run.source else "--mapping FILE.toml"
        click.echo(
            f"correct the first file, then: ledgerbeat backfill start --tenant {run.tenant} --kind {run.kind} "
            f"--file {written.path} --format {written.format} {mapping} --namespace {run.namespace}"
            f"{' --existing difference' if run.options.get('existing') == 'difference' else ''}"
        )


def _place(row: Quarantined) -> str:
    """As `dismiss` takes it."""
    return f"{LINE}{row.place}" if row.line is not None else row.place


def _closed(row: Quarantined) -> str:
    if row.state not in CLOSED_STATES:
        return ""
    why = f": {row.closed_reason}" if row.closed_reason else ""
    return f"{row.state} by {row.closed_by}{why}"


def _shortened(raw: str) -> str:
    return raw if len(raw) <= SHOWN_LENGTH else f"{raw[:SHOWN_LENGTH]}..."
