"""`ledgerbeat jobs redrive | cancel`: what an operator does to jobs, with a rehearsal first."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID, uuid4

import click

from models.jobs import repair
from models.jobs.repair import CANCELLABLE, REDRIVABLE, Order, Selection
from models.jobs.tables import STATES
from ops.cli.connection import transaction_of
from ops.cli.nudging import nudge
from ops.cli.options import ages, before, require_signature, signed
from ops.cli.output import as_json, print_json, print_table
from ops.cli.quiet import quiet_logs
from ops.repair import PREDICTIONS, Cause, Choice, carry_out, causes, choose, forecast
from ops.running import running_settings
from worker.settings import Settings

LIMIT, LIMIT_MAX = 1000, 100_000
FINAL = {
    "refused": "a business rule said no, and the key keeps its answer: send a new job with a new key",
    "done": "its effect has happened",
    "cancelled": "it was cancelled for good: send a new job with a new key",
    "dead": "it is finished: nothing of it will happen unless it is redriven",
    "queued": "it is about to be tried anyway",
}
Command = TypeVar("Command", bound=Callable[..., Any])


def _filters(command: Command) -> Command:
    """What both commands choose by; `_selection` takes them."""
    options = (
        click.option("--tenant", help="Only this tenant."),
        click.option("--name", help="Only jobs of this name, such as wallets.credit."),
        click.option("--state", "states", multiple=True, type=click.Choice(STATES), help="Several may be given."),
        click.option("--code", "--cause", "code", help="The code of the result, or what the cause begins with."),
        ages,
        click.option("--id", "ids", multiple=True, type=click.UUID, help="Only this job; several may be given."),
        click.option("--limit", type=click.IntRange(1, LIMIT_MAX), default=LIMIT, show_default=True,
                     help="At most so many jobs, the oldest first."),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@_filters
@signed
@as_json
def redrive(limit: int, actor: str, reason: str, dry_run: bool, as_json: bool, **filters: Any) -> None:
    """Queue jobs again: the dead (default), parked or cooling. What has had its effect has it once all the same.

    --dry-run plays it through in a transaction that is rolled back, and counts by cause what would come of it.
    """
    now = datetime.now(UTC)
    wanted = _selection(filters, default=("dead",), possible=REDRIVABLE, now=now)
    if not dry_run:
        require_signature(actor, reason)
    settings = running_settings()
    with transaction_of(settings) as transaction:
        choice = choose(transaction, wanted, rows=limit)
        if dry_run:
            with quiet_logs():
                found = forecast(transaction, choice, routing=_routing(settings), now=now)
            _tell_forecast(choice, causes(choice.jobs, found), as_json)
            return
        order = Order(actor, reason, uuid4(), _as_written(filters, limit))
        changed = carry_out(transaction, repair.redrive, choice, order, now=now)
    nudge(settings, {job.tenant for job in choice.jobs if job.id in changed})
    _tell(choice, order, changed, as_json, "redriven")


@click.command()
@_filters
@signed
@as_json
@click.pass_context
def cancel(
    context: click.Context,
    /,
    limit: int,
    actor: str,
    reason: str,
    dry_run: bool,
    as_json: bool,
    **filters: Any,
) -> None:
    """Cancel jobs that are queued, parked or cooling, for good. Exit code 1 when one named by --id is finished."""
    now = datetime.now(UTC)
    if not any(filters.values()):
        raise click.UsageError(
            "say which jobs: --id, --tenant, --name, --state, --code, --older-than, --newer-than"
        )
    wanted = _selection(filters, default=CANCELLABLE, possible=CANCELLABLE, now=now)
    if not dry_run:
        require_signature(actor, reason)
    with transaction_of(running_settings()) as transaction:
        choice = choose(transaction, wanted, rows=limit)
        if dry_run:
            _tell_forecast(choice, causes(choice.jobs), as_json)
        else:
            order = Order(actor, reason, uuid4(), _as_written(filters, limit))
            changed = carry_out(transaction, repair.cancel, choice, order, now=now)
            _tell(choice, order, changed, as_json, "cancelled")
            named = {job.id for job in choice.jobs} & set(wanted.ids)
            context.exit(1 if choice.unfit or named - changed else 0)


def _routing(settings: Settings) -> Any:
    from tasks.intake.routing import routing_of  # the whole of the job families: only where it is needed

    return routing_of(lambda: settings.tenants)


def _selection(
    filters: dict[str, Any], *, default: Sequence[str], possible: Sequence[str], now: datetime
) -> Selection:
    """Jobs named by id may be in any possible state, unless --state says which."""
    states = filters["states"] or (possible if filters["ids"] else default)
    if wrong := sorted(set(states) - set(possible)):
        why = FINAL.get(wrong[0], "it is being worked on")
        raise click.UsageError(
            f"jobs that are {wrong[0]} are left alone: {why}. Possible: {', '.join(possible)}"
        )
    return Selection(
        states=tuple(dict.fromkeys(states)),
        tenant=filters["tenant"],
        name=filters["name"],
        code=filters["code"],
        accepted_before=before(now, filters["older_than"]),
        accepted_after=before(now, filters["newer_than"]),
        ids=filters["ids"],
    )


def _as_written(filters: dict[str, Any], limit: int) -> dict[str, Any]:
    """The filter for the audit trail."""
    given = {name: value for name, value in filters.items() if value}
    return {name: _plain(value) for name, value in given.items()} | {"limit": limit}


def _plain(value: Any) -> Any:
    match value:
        case timedelta():
            return f"{int(value.total_seconds())}s"
        case tuple():
            return [str(one) for one in value]
        case _:
            return value


def _tell_forecast(choice: Choice, found: Sequence[Cause], as_json: bool) -> None:
    if as_json:
        print_json({"dry_run": True, **_summary(choice), "causes": [asdict(cause) for cause in found]})
        return
    shown = [end for end in PREDICTIONS if any(cause.outcomes.get(end) for cause in found)]
    _print_causes(found, shown)
    _print_unfit(choice)
    click.echo(f"dry run: {len(choice.jobs)} of {choice.fitting} jobs that fit; nothing was changed")


def _tell(choice: Choice, order: Order, changed: set[UUID], as_json: bool, verb: str) -> None:
    done = causes([job for job in choice.jobs if job.id in changed])
    others = len(choice.jobs) - len(changed)
    if as_json:
        found = [{key: value for key, value in asdict(cause).items() if key != "outcomes"} for cause in done]
        counts = {verb: len(changed), "changed_meanwhile": others}
        print_json({"dry_run": False, "run": order.run, **counts, **_summary(choice), "causes": found})
        return
    if done:
        _print_causes(done, ())
    _print_unfit(choice)
    click.echo(f"{len(changed)} jobs {verb} in run {order.run}")
    if others:
        click.echo(f"{others} had changed in the meantime and were left as they are")
    if left := choice.fitting - len(choice.jobs):
        click.echo(f"{left} more fit: run it again, or raise --limit")


def _summary(choice: Choice) -> dict[str, Any]:
    left = choice.fitting - len(choice.jobs)
    unfit = [{"id": one, "state": state, "why": _why(state)} for one, state in choice.unfit.items()]
    return {"jobs": len(choice.jobs), "left": left, "left_alone": unfit}


def _print_causes(found: Sequence[Cause], ends: Sequence[str]) -> None:
    print_table(
        ("tenant", "name", "state", "cause", "jobs", *(end.replace("_", " ") for end in ends)),
        [(one.tenant, one.name, one.state, one.cause, one.jobs, *(one.outcomes[end] for end in ends))
         for one in found],
        empty="no jobs fit",
    )  # fmt: skip


def _print_unfit(choice: Choice) -> None:
    for one, state in choice.unfit.items():
        click.echo(f"job {one} is {state}: {_why(state)}")


def _why(state: str) -> str:
    return FINAL.get(state, "it is not in one of the states asked for")
