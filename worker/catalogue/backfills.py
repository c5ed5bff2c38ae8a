"""Arguments of the backfill jobs: a run that begins, and what people decide about it.

A job names a source that the settings have ([tenants.<name>.backfills.<source>]), never a path or an address: those
would let an app read whatever the workers can.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from models.backfills.tables import BATCH_ROWS_MAX
from worker.catalogue.fields import Actor, LimitMinor, OrLeftOut, Owner, SparseArguments, Why

_BACKFILL = "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f"
_START: JsonDict = {
    "kind": "postings",
    "source": "history",
    "dry_run": True,
    "max_amount_minor": 50_000_000,
    "actor": "ops:dana",
    "reason": "History of the old wallet, ticket 311",
}
_EVENTS: JsonDict = {
    "kind": "provider_events",
    "source": "webhooks",
    "options": {"since": "2026-03-01", "until": "2026-03-08"},
    "actor": "ops:dana",
    "reason": "The week in which the door was closed",
}
DAY_LENGTH = len("2026-03-14")
TIME = r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})"
DAY_OR_MOMENT = rf"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}({TIME})?$"

OPTIONS_OF: Mapping[str, frozenset[str]] = {
    "postings": frozenset({"force"}),
    "opening_balances": frozenset({"force", "existing"}),
    "provider_events": frozenset({"since", "until"}),
    "wallet_recalc": frozenset({"owner"}),
}
"""Kind -> the options that it knows."""


def _real(told: str) -> str:
    """The pattern still lets 31 February through, and +99:99."""
    try:
        moment = datetime.fromisoformat(told)
        if moment.tzinfo is not None:
            moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "A day, 2026-03-14, or a time with its offset, 2026-03-14T00:00:00Z, is expected."
        ) from None
    return told


DayOrMoment = Annotated[
    str,
    Field(
        pattern=DAY_OR_MOMENT,
        description="A day of the tenant's time zone, which stands for its beginning; or RFC 3339, with its offset",
        examples=["2026-03-14", "2026-03-14T00:00:00Z"],
        json_schema_extra={"anyOf": [{"format": "date"}, {"format": "date-time"}]},
    ),
    AfterValidator(_real),
]
SourceName = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$",
        description="The name of a source in the settings, [tenants.<name>.backfills.<source>]",
    ),
]
BackfillId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        description="The job_id that backfills.start was answered with",
    ),
]


class BackfillOptions(SparseArguments):
    """What only some kinds know.

    `existing`: an opening balance of a wallet that has history already is refused, or posted as the difference.
    `force`: take rows again that a run of this namespace took to its end before; each is still posted once.
    `since`, `until`: which of a provider's events, by when they were: `until` is the first day, or moment, that is not
    meant any more. `owner`: only this one's wallets.
    """

    existing: OrLeftOut[Literal["refuse", "difference"]] = None
    force: OrLeftOut[bool] = None
    since: OrLeftOut[DayOrMoment] = None
    until: OrLeftOut[DayOrMoment] = None
    owner: OrLeftOut[Owner] = None

    @model_validator(mode="after")
    def _since_before_until(self) -> Self:
        """A day and a moment are held against each other when the job is done: only then the time zone is known."""
        since, until = self.since, self.until
        if since and until and _is_day(since) == _is_day(until) and _at(since) >= _at(until):
            raise ValueError("since must be before until.")
        return self


class BackfillStart(SparseArguments):
    """Begins a backfill; the run's id is the id of this job, which is done when the run waits for its first batch.

    `max_amount_minor` caps what it moves, per currency: the run pauses before the row that would pass it. A dry run
    does all that a run does and posts nothing. Audited.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [_START, _EVENTS]})

    kind: Literal["postings", "opening_balances", "provider_events", "wallet_recalc"]
    source: OrLeftOut[SourceName] = None
    dry_run: bool = False
    batch_rows: OrLeftOut[Annotated[int, Field(ge=1, le=BATCH_ROWS_MAX)]] = None
    max_amount_minor: OrLeftOut[LimitMinor] = None
    options: BackfillOptions = BackfillOptions()
    actor: Actor
    reason: Why

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if (self.source is None) != (self.kind == "wallet_recalc"):
            raise ValueError("A source is needed by every kind but wallet_recalc, which takes none.")
        if self.kind == "provider_events" and self.max_amount_minor is not None:
            raise ValueError(
                "provider_events takes no max_amount_minor: its webhooks go the way of all webhooks. "
                "Pause the tenant or the provider instead."
            )
        if wrong := sorted(self.options.model_fields_set - OPTIONS_OF[self.kind]):
            raise ValueError(f"{self.kind} has no option {wrong[0]}.")
        if self.kind == "provider_events" and not (self.options.since and self.options.until):
            raise ValueError("provider_events needs the options since and until.")
        return self


class BackfillCommand(SparseArguments):
    """What a person decides about one backfill, and why. Audited."""

    backfill_id: BackfillId
    actor: Actor
    reason: Why


def _command(reason: str) -> ConfigDict:
    example: JsonDict = {"backfill_id": _BACKFILL, "actor": "ops:dana", "reason": reason}
    return ConfigDict(json_schema_extra={"examples": [example]})


class BackfillPause(BackfillCommand):
    """Stops a backfill at the end of its batch, until it is resumed. Audited."""

    model_config = _command("Wait for the evening")


class BackfillResume(BackfillCommand):
    """Lets a paused or failed backfill go on where it stopped; one that came to its cap takes a higher one,
    max_amount_minor, and says which is enough. Audited."""

    model_config = _command("The file is back in its place")

    max_amount_minor: OrLeftOut[LimitMinor] = None


class BackfillCancel(BackfillCommand):
    """Ends a backfill for good at the end of its batch; what it has posted stays. Audited."""

    model_config = _command("The wrong export")


def _is_day(told: str) -> bool:
    return len(told) == DAY_LENGTH


def _at(told: str) -> datetime:
    return datetime.fromisoformat(told)
