"""Arguments of the payout jobs: the request, and what people decide about a payout or a provider."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field
from pydantic.config import JsonDict

from worker.catalogue.fields import Actor, AmountMinor, Arguments, Currency, Owner, Provider, Why
from worker.catalogue.numbers import is_account_number, is_card_number


def _opaque(token: str) -> str:
    if is_card_number(token) or is_account_number(token):
        raise ValueError("A token that stands for the account is expected, never a card number or an IBAN.")
    return token


Destination = Annotated[
    str,
    Field(
        pattern=r"^[!-~]{1,255}$",
        description="The provider's token of the account to pay to; card numbers and IBANs are refused",
    ),
    AfterValidator(_opaque),
]
PayoutId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$",
        description="The job_id that payouts.request was answered with",
    ),
]

_PAYOUT = "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f"


def _command(reason: str) -> ConfigDict:
    example: JsonDict = {"payout_id": _PAYOUT, "actor": "ops:dana", "reason": reason}
    return ConfigDict(json_schema_extra={"examples": [example]})


def _pause(reason: str) -> ConfigDict:
    example: JsonDict = {"provider": "sandbox", "actor": "ops:dana", "reason": reason}
    return ConfigDict(json_schema_extra={"examples": [example]})


class PayoutRequest(Arguments):
    """Asks for a payout: the amount is held at once, and sent when no approval is needed or a person gave it.

    The payout's id is the id of this job.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "owner": "player-17",
                    "amount_minor": 2500,
                    "currency": "EUR",
                    "provider": "sandbox",
                    "destination": "ba_player-17",
                    "requested_by": "app:cashier",
                }
            ]
        }
    )

    owner: Owner
    amount_minor: AmountMinor
    currency: Currency
    provider: Provider
    destination: Destination
    requested_by: Actor


class PayoutCommand(Arguments):
    """What a person decides about one payout, and why. Audited."""

    payout_id: PayoutId
    actor: Actor
    reason: Why


class PayoutApprove(PayoutCommand):
    """Approves a payout that waits for it; the approver is not the requester. Audited."""

    model_config = _command("Invoice 311 checked")


class PayoutReject(PayoutCommand):
    """Refuses a payout that waits for approval: its money is free again. Audited."""

    model_config = _command("The account is not the player's own")


class PayoutCancel(PayoutCommand):
    """Calls a payout off that is not sent: its money is free again. Audited."""

    model_config = _command("The player changed their mind")


class PayoutRetry(PayoutCommand):
    """Sends a payout that failed and waits again now, when its cooldown is over. Audited."""

    model_config = _command("The bank says it is fixed")


class PayoutMarkPaid(PayoutCommand):
    """Ends a doubt: the money left, as a person knows for certain. Audited."""

    model_config = _command("Seen on the provider's statement of 14 March")


class PayoutMarkFailed(PayoutCommand):
    """Ends a doubt: the money did not leave and will not, as a person knows for certain. Audited."""

    model_config = _command("The provider confirms in writing that it was never taken")


class ProviderPause(Arguments):
    """Stops sending payouts to a provider; what is asked for meanwhile waits. Audited."""

    model_config = _pause("Maintenance tonight")

    provider: Provider
    actor: Actor
    reason: Why


class ProviderResume(Arguments):
    """Sends payouts to a provider again. Audited."""

    model_config = _pause("Maintenance is over")

    provider: Provider
    actor: Actor
    reason: Why
