"""Stripe's minor units, where they differ from ISO 4217's (docs.stripe.com/currencies)."""

from collections.abc import Mapping

from models.money import exponent as iso_exponent
from worker.providers.fields import NotUnderstood

# Zero-decimal, "special cases" (two decimals, always 00), three-decimal.
EXPONENTS: Mapping[str, int] = (
    dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA"), 0)
    | dict.fromkeys(("PYG", "RWF", "VND", "VUV", "XAF", "XOF", "XPF"), 0)
    | dict.fromkeys(("ISK", "UGX"), 2)
    | dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 3)
)


def exponent(currency: str) -> int:
    """Decimal places of `currency` at Stripe. Raises NotUnderstood (Stripe documents none), UnknownCurrency."""
    if currency in EXPONENTS:
        return EXPONENTS[currency]
    if iso_exponent(currency) != 2:
        raise NotUnderstood(f"Stripe documents no minor unit of {currency}")
    return 2


def step(currency: str) -> int:
    """How many of Stripe's units are one of ISO 4217's: what Stripe moves is a multiple of it."""
    return 100 if currency in ("ISK", "UGX") else 1
