"""Arguments of the deposit jobs."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from worker.catalogue.fields import (
    Actor,
    AmountMinor,
    Arguments,
    Currency,
    OrLeftOut,
    Owner,
    Provider,
    Reference,
    SparseArguments,
    Why,
)


class DepositExpect(Arguments):
    """Announces a deposit: the provider's webhook with this reference credits the owner."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider": "sandbox",
                    "reference": "order-9001",
                    "owner": "player-17",
                    "amount_minor": 2000,
                    "currency": "EUR",
                }
            ]
        }
    )

    provider: Provider
    reference: Reference
    owner: Owner
    amount_minor: AmountMinor
    currency: Currency


PaymentId = Annotated[
    str,
    Field(pattern=r"^[!-~]{1,200}$", description="The provider's id of the payment, as the finding has it"),
]


class DepositAllocate(SparseArguments):
    """Books what was paid twice for a deposit: to its owner, or back to the payer.

    `payer`: the money is given back at the provider; its own event about the refund moves nothing more then. `payment`
    is the one that was given back, where several have so much. Audited.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "provider": "sandbox",
                    "reference": "order-9001",
                    "amount_minor": 2000,
                    "currency": "EUR",
                    "to": "owner",
                    "actor": "ops:dana",
                    "reason": "The player wants to keep it as credit",
                }
            ]
        }
    )

    provider: Provider
    reference: Reference
    amount_minor: AmountMinor
    currency: Currency
    to: Literal["owner", "payer"]
    payment: OrLeftOut[PaymentId] = None
    actor: Actor
    reason: Why
