"""How each provider counts money, by currency and operation: converted exactly, or refused before it is held.

Our amounts are in ISO 4217 minor units (models/money). A provider may count a currency in other units, and may take
only every so many of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.money import BIGINT_MAX, UnknownCurrency, format_minor
from models.money import exponent as iso_exponent

Operation = Literal["payout", "transfer"]
"""What the money does at the provider: `payout` to a bank or card, `transfer` between accounts at the provider.

Only Stripe tells them apart, and its payouts refuse more: who does not know the operation asks for `payout`.
"""

BOTH: tuple[Operation, ...] = ("payout", "transfer")


class NotRepresentable(ValueError):
    """The provider cannot be told this amount. The message says why, with the amount and the currency."""


@dataclass(frozen=True, slots=True)
class Row:
    """`exponent`: decimal places at the provider. `step`: the amount there must be a multiple of it."""

    currencies: str
    exponent: int
    step: int = 1
    operations: tuple[Operation, ...] = BOTH


# Currencies that stand in no row: Stripe documents two decimals for the rest, so the rest must have two in ISO 4217;
# Adyen's other currencies, and all of the sandbox's, are as in ISO 4217.
ROWS: Mapping[str, tuple[Row, ...]] = {
    "sandbox": (),  # "amounts in minor units": ops/sandbox/README.md
    "stripe": (
        # docs.stripe.com/currencies, "Zero-decimal currencies"
        Row("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF", 0),
        # the same page, "Special cases": sent with two decimals, and these must be 00
        Row("ISK UGX", 2, step=100),
        # the same page and section: two decimals, but a payout takes whole units only
        Row("HUF TWD", 2, step=100, operations=("payout",)),
        # the same page, "Three-decimal currencies": the last digit must be 0
        Row("BHD JOD KWD OMR TND", 3, step=10),
    ),
    "adyen": (
        # docs.adyen.com/development-resources/currency-codes, notes on CLP, CVE, IDR and ISK
        Row("CLP ISK", 2),
        Row("CVE IDR", 0),
    ),
}


def operation(adapter: str, destination: str) -> Operation:
    """What paying to `destination` is: at Stripe a bare `acct_...` is a transfer, all else is a payout."""
    is_account = destination.startswith("acct_") and "/" not in destination
    return "transfer" if adapter == "stripe" and is_account else "payout"


def representable(adapter: str, operation: Operation, amount_minor: int, currency: str) -> str | None:
    """Why the provider cannot be told this amount, in one sentence; None when it can."""
    try:
        to_provider(adapter, operation, amount_minor, currency)
    except NotRepresentable as error:
        return str(error)
    return None


def to_provider(adapter: str, operation: Operation, amount_minor: int, currency: str) -> int:
    """The amount as the provider counts it. Raises NotRepresentable; KeyError for an adapter that does not exist."""
    row = _row(adapter, operation, currency)
    amount = _scaled(amount_minor, row.exponent - iso_exponent(currency))
    if amount is None or amount % row.step:
        raise NotRepresentable(
            f"{adapter} cannot {operation.replace('payout', 'pay out')} {format_minor(amount_minor, currency)}: "
            f"it counts {currency} {_in_words(row)}."
        )
    if not 0 < amount <= BIGINT_MAX:
        raise NotRepresentable(
            f"{adapter} cannot be told an amount of {currency} that is not above 0, or that large."
        )
    return amount


def from_provider(adapter: str, operation: Operation, amount: int, currency: str) -> int:
    """An amount that the provider told, in our minor units. Raises NotRepresentable."""
    row = _row(adapter, operation, currency)
    amount_minor = _scaled(amount, iso_exponent(currency) - row.exponent)
    if amount_minor is None or not 0 <= amount_minor <= BIGINT_MAX:
        raise NotRepresentable(
            f"{adapter} told an amount of {currency} that has no whole ISO 4217 minor units."
        )
    return amount_minor


def _row(adapter: str, operation: Operation, currency: str) -> Row:
    try:
        iso = iso_exponent(currency)
    except UnknownCurrency as error:
        raise NotRepresentable(f"{error}.") from None
    for row in ROWS[adapter]:
        if operation in row.operations and currency in row.currencies.split():
            return row
    if adapter == "stripe" and iso != 2:
        raise NotRepresentable(f"stripe documents no minor unit of {currency}.")
    return Row(currency, iso)


def _scaled(amount: int, places: int) -> int | None:
    """`amount` times ten to the power of `places`; None when that is not whole."""
    if places >= 0:
        return int(amount * 10**places)
    whole, rest = divmod(amount, 10**-places)
    return None if rest else whole


def _in_words(row: Row) -> str:
    units = f"with {row.exponent} decimals" if row.exponent else "in whole units"
    return units if row.step == 1 else f"{units}, and takes multiples of {row.step} only"
