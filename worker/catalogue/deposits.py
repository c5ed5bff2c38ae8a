"""Arguments of the deposit jobs."""

from pydantic import ConfigDict

from worker.catalogue.fields import AmountMinor, Arguments, Currency, Owner, Provider, Reference


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
