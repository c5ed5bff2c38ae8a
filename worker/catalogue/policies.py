"""Arguments of `policies.set`: any part of a tenant's policy, with who decided it and why."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from models.tenants import POLICY_FIELDS
from worker.catalogue.fields import Actor, Arguments, LimitMinor, Why

DAY_SECONDS = 86_400
STEPS_MAX = 20


def _ascending(steps: tuple[int, ...]) -> tuple[int, ...]:
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise ValueError("Each step must be longer than the one before it.")
    return steps


Seconds = Annotated[int, Field(ge=0, le=30 * DAY_SECONDS)]
Step = Annotated[int, Field(ge=1, le=30 * DAY_SECONDS)]
Ladder = Annotated[
    tuple[Step, ...], Field(strict=False, min_length=1, max_length=STEPS_MAX), AfterValidator(_ascending)
]


_EXAMPLE: JsonDict = {
    "daily_deposit_limit_minor": 100_000,
    "payout_retry_limit": 5,
    "actor": "ops:dana",
    "reason": "Limits agreed for the spring season",
}


class PolicySet(Arguments):
    """Sets the fields that are given, at least one; null lifts a limit. `changes()` has them. Audited."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 3, "examples": [_EXAMPLE]})

    ledger_mode: Literal["enforce", "shadow"] = "enforce"
    kyc_required: bool = False
    daily_deposit_limit_minor: LimitMinor | None = None
    daily_payout_limit_minor: LimitMinor | None = None
    payout_retry_limit: Annotated[int, Field(ge=0, le=100)] = 3
    payout_cooldown_seconds: Seconds = 300
    payout_backoff_factor: Annotated[float, Field(ge=1, le=10)] = 1.0
    approval_threshold_minor: LimitMinor | None = None
    approval_expires_seconds: Annotated[int, Field(ge=1, le=365 * DAY_SECONDS)] | None = None
    in_doubt_ladder_seconds: Ladder = (30, 120, 600, 3600, 21600)
    reconcile_at_local: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")] = "02:30"
    reconcile_grace_seconds: Seconds = DAY_SECONDS
    actor: Actor
    reason: Why

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set & set(POLICY_FIELDS):
            raise ValueError("Nothing to change: give at least one field of the policy.")
        return self

    def changes(self) -> dict[str, Any]:
        """The given policy fields, ready for models.tenants.update_policy."""
        given = {name: getattr(self, name) for name in POLICY_FIELDS if name in self.model_fields_set}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()}
