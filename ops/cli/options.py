"""Options that several commands share."""

import getpass
import os
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import click

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
Command = TypeVar("Command", bound=Callable[..., Any])


class Age(click.ParamType[timedelta]):
    """30s, 10m, 2h, 7d -> timedelta."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        match = re.fullmatch(r"(\d{1,6})([smhd])", value)
        if match is None:
            self.fail(f"{value!r} is not an age such as 30s, 10m, 2h or 7d", param, ctx)
        return timedelta(**{UNITS[match[2]]: int(match[1])})


def ages(command: Command) -> Command:
    """--older-than and --newer-than, by when a job was accepted."""
    older = click.option("--older-than", type=Age(), help="Accepted longer ago than this: 30s, 10m, 2h, 7d.")
    newer = click.option("--newer-than", type=Age(), help="Accepted less long ago than this.")
    return older(newer(command))


def before(now: datetime, age: timedelta | None) -> datetime | None:
    return None if age is None else now - age


def signed(command: Command) -> Command:
    """--actor, --reason and --dry-run: who changes what and why, for the audit trail."""
    actor = click.option(
        "--actor", default=login, help="Who does it; goes into the audit trail.  [default: the login]"
    )
    reason = click.option("--reason", default="not given", help="Why; goes into the audit trail.")
    dry_run = click.option("--dry-run", is_flag=True, help="Change nothing: say what would happen.")
    return actor(reason(dry_run(command)))


def login() -> str:
    """Who runs the command, as the operating system knows it."""
    try:
        return f"cli:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"cli:uid {os.getuid()}"


def require_signature(actor: str, reason: str) -> None:
    """Raises UsageError when one is blank."""
    if not actor.strip() or not reason.strip():
        raise click.UsageError("--actor and --reason must not be blank")
