"""Arguments of the wallet jobs."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from worker.catalogue.fields import (
    AmountMinor,
    Arguments,
    Currency,
    Event,
    OrLeftOut,
    Owner,
    Placement,
    Reason,
    SparseArguments,
)

AWARDS_MAX = 10_000

_CREDIT: JsonDict = {"owner": "player-17", "amount_minor": 1250, "currency": "EUR", "reason": "welcome-bonus"}


class WalletCredit(Arguments):
    """Gives the owner an amount: one posting against `house:<reason>`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CREDIT]})

    owner: Owner
    amount_minor: AmountMinor
    currency: Currency
    reason: Reason


class WalletDebit(Arguments):
    """Takes an amount from the owner, who must have it: one posting against `house:<reason>`."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**_CREDIT, "reason": "entry-fee"}]})

    owner: Owner
    amount_minor: AmountMinor
    currency: Currency
    reason: Reason


class WalletTransfer(Arguments):
    """Moves an amount from one owner to another, at once or not at all."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "from_owner": "player-17",
                    "to_owner": "player-4",
                    "amount_minor": 300,
                    "currency": "EUR",
                    "reason": "gift",
                }
            ]
        }
    )

    from_owner: Owner
    to_owner: Owner
    amount_minor: AmountMinor
    currency: Currency
    reason: Reason

    @model_validator(mode="after")
    def _between_two(self) -> Self:
        if self.from_owner == self.to_owner:
            raise ValueError("A transfer is between two owners: from_owner and to_owner are the same.")
        return self


class Award(Arguments):
    """What one owner wins with one placement."""

    owner: Owner
    placement: Placement
    amount_minor: AmountMinor


class WalletAward(Arguments):
    """Up to 10,000 credits of one event, each once per placement and owner, all or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "event": "spring-cup",
                    "awards": [
                        {"owner": "player-17", "placement": 1, "amount_minor": 5000},
                        {"owner": "player-4", "placement": 2, "amount_minor": 2500},
                    ],
                    "currency": "EUR",
                    "reason": "prize",
                }
            ]
        }
    )

    event: Event
    # Not strict: a JSON array is a list in Python, and lists are not frozen. The items are strict.
    awards: Annotated[tuple[Award, ...], Field(strict=False, min_length=1, max_length=AWARDS_MAX)]
    currency: Currency
    reason: Reason

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        if len({(award.placement, award.owner) for award in self.awards}) < len(self.awards):
            raise ValueError(
                "Two awards have the same placement and owner; each pair may win once per event."
            )
        return self


class WalletConfigure(SparseArguments):
    """Changes what an owner may do. With a currency, `allow_overdraft` concerns that wallet only. Audited."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [{"required": ["allow_overdraft"]}, {"required": ["kyc_status"]}],
            "examples": [{"owner": "player-17", "kyc_status": "verified"}],
        }
    )

    owner: Owner
    currency: OrLeftOut[Currency] = None
    allow_overdraft: OrLeftOut[bool] = None
    kyc_status: OrLeftOut[Literal["unverified", "pending", "verified", "rejected"]] = None

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.allow_overdraft is None and self.kyc_status is None:
            raise ValueError("Nothing to change: give allow_overdraft, kyc_status, or both.")
        return self
