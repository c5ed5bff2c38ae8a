"""`ledgerbeat backfill`: older history and balances brought in, webhooks fetched again, balances recalculated.

Straight in the database, so that a run is made, paused and cancelled when no worker runs. The jobs backfills.start,
pause, resume and cancel do the same for upstream apps, from sources that the settings name.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import click

from models.backfills.closing import counts_aside
from models.backfills.runs import Run, find_runs, known_run
from models.backfills.tables import STATES
from ops.cli.backfills import aside
from ops.cli.backfills.asking import Wanted, asked, tenant_of
from ops.cli.backfills.options import MINOR, decided, how, where_from
from ops.cli.backfills.telling import as_facts, exit_code, print_list, print_run
from ops.cli.backfills.watching import follow, watching
from ops.cli.backfills.working import tell_workers, work_here
from ops.cli.connection import session, transaction_of
from ops.cli.options import require_signature, signed
from ops.cli.output import as_json, print_json
from ops.cli.quiet import quiet_logs
from ops.running import running_settings
from tasks.backfills import service
from tasks.backfills.service import StartRequest
from worker.database import Transaction
from worker.settings import Settings

ROWS = 50
CONNECTIONS = 2
"""With --here a batch's, and one that keeps its claim meanwhile; rows are read without ours."""


@click.group()
def backfill() -> None:
    """Bring in older history or balances, fetch webhooks again, recalculate: in batches, each row once."""


@backfill.command()
@where_from
@how
@signed
@as_json
@click.pass_context
def start(
    context: click.Context,
    /,
    tenant: str,
    dry_run: bool,
    batch_rows: int | None,
    detach: bool,
    here: bool,
    actor: str,
    reason: str,
    as_json: bool,
    **source: Any,
) -> None:
    """Start a run and wait for its end. Exit code 0 clean, 1 rows are set aside, 2 error, paused or cancelled.

    Ctrl-C leaves it to the workers; with --here it pauses the run.
    """
    require_signature(actor, reason)
    if detach and here:
        raise click.UsageError("--here works in this process, --detach leaves it to the workers: not both")
    settings = running_settings()
    wanted = Wanted(**source)
    request = _request(settings, tenant, wanted, actor, reason, dry_run=dry_run, batch_rows=batch_rows)
    with transaction_of(settings, pool_size=CONNECTIONS) as transaction:
        run = _started(settings, transaction, request)
        if here:
            run = work_here(settings, transaction, run, actor)
        elif not detach:
            tell_workers(settings)
            run = _followed(transaction, run)
        _told(transaction, run, as_json)
    context.exit(exit_code(run))


def _request(
    settings: Settings, tenant: str, wanted: Wanted, actor: str, reason: str, **how_: Any
) -> StartRequest:
    """Raises LedgerbeatError and UsageError for whatever does not fit."""
    found = asked(tenant_of(settings, tenant), wanted)
    return StartRequest(
        id=uuid4(),
        tenant=tenant,
        kind=found.kind,
        source=found.source,
        actor=actor,
        reason=reason,
        namespace=wanted.namespace,
        max_amount_minor=wanted.max_amount_minor,
        options=found.options,
        **how_,
    )


def _started(settings: Settings, transaction: Transaction, request: StartRequest) -> Run:
    """The run, once its source has been looked at: a file that is not there, or was taken before, makes none."""
    service.check(settings.tenants, request)
    now = datetime.now(UTC)
    service.refuse_taken(transaction, settings.tenants, request, now=now, on_hash=_say_hash)
    with transaction() as opened:
        run = service.start(opened, settings.tenants, request, now=now)
    click.echo(f"backfill {run.id}", err=True)
    return run


def _say_hash() -> None:
    click.echo("a file of this size was taken before: comparing its content", err=True)


def _followed(transaction: Transaction, run: Run) -> Run:
    """As it ended. Ctrl-C ends the looking, not the run."""
    try:
        with watching() as watcher:
            return follow(lambda: _loaded(transaction, run.id), watcher)
    except KeyboardInterrupt:
        click.echo(
            f"it goes on without you. Look again: ledgerbeat backfill status {run.id} --watch; "
            f"stop it: ledgerbeat backfill pause {run.id} --reason ...",
            err=True,
        )
        raise


def _loaded(transaction: Transaction, run_id: UUID) -> Run:
    with transaction() as opened:
        return known_run(opened, run_id)


def _told(transaction: Transaction, run: Run, as_json: bool) -> None:
    with transaction() as opened:
        stand = counts_aside(opened, [run.id])[run.id]
    print_json(as_facts(run, stand)) if as_json else print_run(run, datetime.now(UTC), stand)


@backfill.command()
@click.argument("run_id", metavar="[ID]", required=False, type=click.UUID)
@click.option("--tenant", help="Only this tenant's.")
@click.option(
    "--state", "states", multiple=True, type=click.Choice(STATES), help="May be given several times."
)
@click.option("--limit", type=click.IntRange(1, 1000), default=ROWS, show_default=True)
@click.option("--watch", is_flag=True, help="Until it ends; then the exit code is that of start.")
@as_json
@click.pass_context
def status(
    context: click.Context,
    /,
    run_id: UUID | None,
    tenant: str | None,
    states: tuple[str, ...],
    limit: int,
    watch: bool,
    as_json: bool,
) -> None:
    """How one stands, or the newest of all."""
    if run_id is None:
        if watch:
            raise click.UsageError("--watch needs the ID of one")
        _list(tenant, states, limit, as_json)
        return
    with transaction_of(running_settings()) as transaction:
        run = _loaded(transaction, run_id)
        if watch:
            run = _followed(transaction, run)
        _told(transaction, run, as_json)
    context.exit(exit_code(run) if watch else 0)


def _list(tenant: str | None, states: tuple[str, ...], limit: int, as_json: bool) -> None:
    with session() as opened:
        runs = find_runs(opened, tenant=tenant, states=states or None, limit=limit)
        stand = counts_aside(opened, [run.id for run in runs])
    if as_json:
        print_json([as_facts(run, stand[run.id]) for run in runs])
    else:
        print_list(runs, datetime.now(UTC), stand)


@backfill.command()
@decided
def pause(**given: Any) -> None:
    """Stop at the end of the batch that is under way, until it is resumed."""
    _decide(service.pause, **given)


@backfill.command()
@click.option("--max-amount-minor", type=MINOR, help="A higher cap, for all that it moves, per currency.")
@click.option("--here", is_flag=True, help="Work in this process, without workers, until it ends.")
@decided
@click.pass_context
def resume(context: click.Context, /, here: bool, as_json: bool, actor: str, **given: Any) -> None:
    """Go on where it stopped. With --here the exit code is that of start."""
    settings = running_settings()
    with transaction_of(settings, pool_size=CONNECTIONS) as transaction:
        run = _decided(transaction, service.resume, actor=actor, **given)
        if here:
            run = work_here(settings, transaction, run, actor)
        else:
            tell_workers(settings)
        _told(transaction, run, as_json)
    context.exit(exit_code(run))


@backfill.command()
@decided
def cancel(**given: Any) -> None:
    """End it for good. What it has posted stays: the ledger is append-only."""
    _decide(service.cancel, **given)


def _decide(do: Callable[..., Run], as_json: bool, **given: Any) -> None:
    with transaction_of(running_settings()) as transaction:
        run = _decided(transaction, do, **given)
        _told(transaction, run, as_json)


def _decided(
    transaction: Transaction, do: Callable[..., Run], run_id: UUID, actor: str, reason: str, **more: Any
) -> Run:
    require_signature(actor, reason)
    with quiet_logs(), transaction() as opened:
        return do(opened, run_id, actor=actor, reason=reason, now=datetime.now(UTC), **more)


backfill.add_command(aside.show)
backfill.add_command(aside.let_go)
