"""Money: BIGINT minor units and an ISO 4217 code, never a float.

A ledger amount counts the minor units that ISO 4217 gives the currency (cents of EUR, yen of JPY, fils of BHD).
Providers that count otherwise are converted in their adapter, exactly or not at all.
"""

from collections.abc import Mapping

from models.currencies import CURRENCIES_BY_EXPONENT

BIGINT_MAX = 2**63 - 1

CURRENCIES: Mapping[str, int] = {
    code: exponent for exponent, codes in CURRENCIES_BY_EXPONENT.items() for code in codes.split()
}
"""Currency code -> exponent: the number of decimal places between its major and its minor unit."""


class UnknownCurrency(ValueError):
    """The code is not an ISO 4217 currency that has a minor unit."""


def exponent(currency: str) -> int:
    """Decimal places of `currency` (EUR 2, JPY 0, BHD 3). Raises UnknownCurrency."""
    try:
        return CURRENCIES[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is not an ISO 4217 currency with a minor unit") from None


def format_minor(amount_minor: int, currency: str) -> str:
    """The amount for people: 123456 EUR -> '1,234.56 EUR'. Exact: integer arithmetic only."""
    places = exponent(currency)
    sign = "-" if amount_minor < 0 else ""
    major, minor = divmod(abs(amount_minor), 10**places)
    return f"{sign}{major:,}{f'.{minor:0{places}d}' if places else ''} {currency}"
