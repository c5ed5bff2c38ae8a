"""How a backfill stands, for people: as one line, as facts, and as the summary at its end with what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from models.backfills.runs import Run
from models.backfills.tables import CLOSED_STATES
from models.money import format_minor
from ops.cli.backfills.asking import ROW_KINDS
from ops.cli.backfills.signs import sign_words, silence_words
from ops.cli.backfills.words import words_of
from ops.cli.output import print_facts, print_table
from tasks.backfills.progress import progress

Aside = Mapping[str, int]
"""How many of a run's rows stand in each state of the quarantine."""
ENDED = ("done", "cancelled", "paused", "failed")
"""Nothing more happens by itself."""
PAUSED = {
    "asked": "as somebody asked",
    "cap_reached": "at its cap",
    "source_changed": "the source is not what it was when the run began",
    "source_failed": "the source cannot be read",
    "batch_failed": "rows failed again and again",
}


REFUSED = frozenset({
    "conflict", "insufficient_funds", "already_moved", "amount_out_of_range", "malformed", "failed",
})  # fmt: skip
"""Codes of rows that were read and may not be posted; all others could not be read for certain."""


def exit_code(run: Run) -> int:
    """0 clean, or still at work; 1 rows are set aside, or balances had drifted; 2 it has not come to its end."""
    if run.state in ("cancelled", "paused", "failed"):
        return 2
    drifted = run.kind == "wallet_recalc" and run.posted > 0
    return 1 if run.state == "done" and (run.quarantined or drifted) else 0


def as_facts(run: Run, stand: Aside) -> dict[str, Any]:
    """For scripts: the row, its progress, what stands in its quarantine by state, and what `start` ends with."""
    shown = {name: value for name, value in asdict(run).items() if name not in ("cursor", "claim_version")}
    return shown | {"progress": asdict(progress(run)), "quarantine": dict(stand), "exit_code": exit_code(run)}


def print_list(runs: Sequence[Run], now: datetime, stand: Mapping[UUID, Aside]) -> None:
    """One line each."""
    print_table(
        ("id", "tenant", "kind", "source", "state", "progress", "effect", "set aside", "age"),
        [
            (run.id, run.tenant, kind_words(run), Path(source_words(run.source)).name, _stands(run, now), _far(run),
             f"{run.posted:,} {words_of(run).done}", _aside(run, stand.get(run.id, {})),
             _age((now - run.created_at).total_seconds()))
            for run in runs
        ],
        empty="no backfills fit",
    )  # fmt: skip


def print_run(run: Run, now: datetime, stand: Aside) -> None:
    """Everything about one, and what to do next; `stand` is what stands in its quarantine."""
    print_facts(_facts(run, now, stand))
    _print_money(run)
    _print_reasons(run.reasons)
    click.echo()
    for words, colour in verdict(run, stand):
        click.secho(words, fg=colour)


def _facts(run: Run, now: datetime, stand: Aside) -> dict[str, str]:
    words = words_of(run)
    facts = {
        "backfill": f"{run.id}: {state_words(run)}",
        "of": f"{run.tenant}, {kind_words(run)}, from {source_words(run.source)}{_namespace(run)}",
        "asked by": run.actor,
        "reason": run.reason,
        "read": _read(run),
    }
    if run.state == "running":
        facts["sign"] = sign_words(run, now)
    facts[words.name] = f"{run.posted:,} {words.rows} {words.done}"
    if words.again:
        facts["replayed"] = f"{run.replayed:,} {words.rows} {words.again}"
    facts["quarantined"] = f"{run.quarantined:,} {words.rows} {words.aside}"
    if closed := [f"{stand[state]:,} {state}" for state in CLOSED_STATES if stand.get(state)]:
        facts["closed since"] = f"{', '.join(closed)}; {stand.get('open', 0):,} are open"
    if run.unchanged:
        facts["unchanged"] = f"{run.unchanged:,} {words.rows} {words.unchanged}"
    if run.waiting:
        facts["waiting"] = f"{run.waiting:,} rows wait for money that a later row may bring"
    return facts


def _namespace(run: Run) -> str:
    """Of rows alone: nothing else has keys of its own."""
    return f", namespace {run.namespace}" if run.kind in ROW_KINDS else ""


def _far(run: Run) -> str:
    """In the list: no ETA for what has come to its end."""
    return str(replace(progress(run), eta_seconds=None) if run.is_final else progress(run))


def _read(run: Run) -> str:
    """At the end how long it took, before how long it will take."""
    if run.state not in ENDED or not run.worked_seconds:
        return str(progress(run))
    rate = run.rows_read / run.worked_seconds
    return f"{run.rows_read:,} rows in {run.worked_seconds:,.1f} s of work, {rate:,.0f}/s"


def kind_words(run: Run) -> str:
    return f"{run.kind} (dry run)" if run.dry_run else run.kind


def state_words(run: Run) -> str:
    """The state, and why."""
    if run.state == "paused":
        return f"paused, {run.pause_code}"
    asked = {"pause": ", pauses after this batch", "cancel": ", ends after this batch"}
    return f"{run.state}{asked.get(run.stop_asked or '', '')}"


def _stands(run: Run, now: datetime) -> str:
    return ", ".join(filter(None, (state_words(run), silence_words(run, now))))


def source_words(source: Mapping[str, Any]) -> str:
    """Where its rows come from."""
    match source:
        case {"type": "events", "provider": provider, "since": since, "until": until}:
            return f"{provider}'s events from {_moment(since)} to {_moment(until)}"
        case {"type": "wallets"}:
            return f"the wallets of {source['owner']}" if source.get("owner") else "all accounts"
        case {"name": name}:
            return f"source {name}"
        case _:
            return str(source.get("path", source.get("type")))


def _moment(told: str) -> str:
    """2026-03-01T00:00:00Z: to the second, in UTC."""
    try:
        return f"{datetime.fromisoformat(told).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    except ValueError:
        return told


def _aside(run: Run, stand: Aside) -> str:
    """How many, and how many of them somebody still has to look at."""
    closed = sum(stand.get(state, 0) for state in CLOSED_STATES)
    open_ = f", {stand.get('open', 0):,} open" if closed else ""
    return f"{run.quarantined + run.waiting:,}{open_}"


def verdict(run: Run, stand: Aside) -> Iterator[tuple[str, str]]:
    """The last words, each with a colour: how it stands, and the next command."""
    command, words = f"ledgerbeat backfill %s {run.id}", words_of(run)
    if stand.get("open"):
        yield f"set aside: {command % 'quarantine'} --out FILE.csv has the rows and why", "yellow"
    match run.state:
        case "done" if run.dry_run:
            yield f"dry run: nothing was {words.name}. {_for_real(run)}", "green"
        case "done":
            yield words.end, "yellow" if exit_code(run) else "green"
        case "cancelled" if run.last_error and not run.batches:
            yield f"cancelled, and nothing was {words.name}; the last that it said: {run.last_error}", "red"
        case "cancelled" if run.dry_run:
            yield f"cancelled; it was a dry run: nothing was {words.name}", "red"
        case "cancelled":
            yield f"cancelled; what it had {words.name} stays", "red"
        case "failed":
            yield f"FAILED: {run.last_error}", "red"
            yield f"to try it again as it is: {command % 'resume'} --reason ...", "red"
        case "paused":
            error = f": {run.last_error}" if run.last_error else ""
            yield f"paused, {PAUSED.get(str(run.pause_code), run.pause_code)}{error}", "red"
            cap = " --max-amount-minor ..." if run.pause_code == "cap_reached" else ""
            yield f"to go on: {command % 'resume'} --reason ...{cap}", "red"
            if run.dry_run:
                yield f"or: {command % 'cancel'} --reason ...; a dry run is in nobody's way", "red"
        case _:
            yield f"watch it: {command % 'status'} --watch", "cyan"


def _for_real(run: Run) -> str:
    again = run.source_digest is not None and run.replayed and not run.posted
    force = ", with --force if the file was taken before"
    return f"The same command without --dry-run does it{force if again else ''}"


def _print_money(run: Run) -> None:
    if not run.money:
        return
    words, cap = words_of(run), run.max_amount_minor
    columns = {f"{words.done} amount": "posted"} | (
        {f"{words.again} amount": "replayed"} if words.again else {}
    )
    click.echo()
    print_table(
        ("currency", *columns, *(("cap amount",) if cap is not None else ())),
        [
            (currency, *(format_minor(sums.get(column, 0), currency) for column in columns.values()),
             *((format_minor(cap, currency),) if cap is not None else ()))
            for currency, sums in sorted(run.money.items())
        ],
        empty="",
    )  # fmt: skip


def _print_reasons(reasons: Mapping[str, int]) -> None:
    if not reasons:
        return
    click.echo()
    print_table(
        ("set aside because", "rows", "which were"),
        [
            (code, f"{count:,}", "refused" if code in REFUSED else "not to be read")
            for code, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ],
        empty="",
    )


def _age(seconds: float) -> str:
    """40 s, 12 min, 30 h, 9 d."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86_400:.0f} d"
