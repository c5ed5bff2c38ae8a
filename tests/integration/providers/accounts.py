"""Accounts and orders for the tests of the adapters."""

from typing import Any, Literal

from pydantic import SecretStr

from worker.providers.payouts.port import Instruction
from worker.settings import ProviderSettings

SECRETS = {"sandbox": "whsec_" + "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXo=", "stripe": "whsec_x", "adyen": "00ff"}


def account(
    adapter: Literal["sandbox", "stripe", "adyen"], base_url: str | None, api_key: str, **more: Any
) -> ProviderSettings:
    """One account as the settings give it; `more` is not checked, so that a time-out can be very short."""
    made = ProviderSettings(
        name=adapter,
        adapter=adapter,
        base_url=base_url,
        api_key=SecretStr(api_key),
        webhook_secrets=(SecretStr(SECRETS[adapter]),),
    )
    return made.model_copy(update={"timeout_seconds": 60.0} | more)


def order(**more: Any) -> Instruction:
    """One attempt of 12.50 EUR."""
    given: dict[str, Any] = {
        "key": "lb-7f3a-1",
        "reference": "7f3a-1",
        "amount_minor": 1250,
        "currency": "EUR",
        "destination": "bank-1",
    }
    return Instruction(**(given | more))
