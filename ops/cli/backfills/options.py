"""The options of `ledgerbeat backfill`."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from models.backfills.tables import BATCH_ROWS_MAX, KINDS
from models.money import BIGINT_MAX
from ops.cli.options import login
from ops.cli.output import as_json
from tasks.backfills.service import BATCH_ROWS, EXISTING

Command = TypeVar("Command", bound=Callable[..., Any])
NAMESPACE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""As in worker.sources.mapping."""
MINOR = click.IntRange(0, BIGINT_MAX)
AS_PATH = click.Path(path_type=Path)


def _namespace(_context: click.Context, _parameter: click.Parameter, told: str | None) -> str | None:
    if told is not None and NAMESPACE.fullmatch(told) is None:
        raise click.BadParameter("1 to 63 of a-z, 0-9, _ and - were expected, such as oldwallet")
    return told


def _options(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def all_of_them(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return all_of_them


decided = _options(
    click.argument("run_id", metavar="ID", type=click.UUID),
    click.option("--actor", default=login, help="Who does it; for the audit trail.  [default: the login]"),
    click.option("--reason", required=True, help="Why; for the audit trail."),
    as_json,
)
where_from = _options(
    click.option("--tenant", required=True),
    click.option("--kind", type=click.Choice(KINDS), help="What the rows of a file or source are."),
    click.option("--file", type=AS_PATH, help="CSV or JSON lines, in any order, of any size."),
    click.option("--mapping", type=AS_PATH, help="TOML: what the file's columns mean (README: Backfills)."),
    click.option("--format", type=click.Choice(["csv", "jsonl"]), help="Of a file whose name does not tell it."),
    click.option("--source", help="A source of the settings; with --file only its mapping."),
    click.option("--provider", help="Fetch this account's webhooks again, --since until --until."),
    click.option("--since", help="A local day, 2026-03-01, or a moment, 2026-03-01T00:00:00Z."),
    click.option("--until", help="The first day, or moment, that is not meant any more."),
    click.option("--wallets", is_flag=True, help="Hold every balance against its entries, and set right what drifted."),
    click.option("--owner", help="With --wallets: only this owner's."),
)  # fmt: skip
how = _options(
    click.option("--batch-rows", type=click.IntRange(1, BATCH_ROWS_MAX),
                 help=f"Rows of one transaction, at most; default: {BATCH_ROWS}."),
    click.option("--max-amount-minor", type=MINOR, help="Move at most so much, per currency; then it pauses."),
    click.option("--namespace", callback=_namespace,
                 help="Part of every row's key; default: the mapping's. One export, one namespace."),
    click.option("--existing", type=click.Choice(EXISTING),
                 help="Opening balances of wallets with history: refuse (default), or post the difference."),
    click.option("--force", is_flag=True,
                 help="Take a file again that was taken to its end before. Safe: each row is posted once."),
    click.option("--detach", is_flag=True, help="Do not wait for the end."),
    click.option("--here", is_flag=True, help="Work in this process, without workers."),
)  # fmt: skip
