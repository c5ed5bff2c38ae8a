"""Card numbers and IBANs in the arguments of payout jobs, for doors that store before they validate. Pure.

No valid payout holds one (see payouts.Destination), so what is taken out here dies with `invalid_arguments`. The SQL
door does the same in the function redact_payout, and a test holds the two together: one request has one fingerprint.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from worker.catalogue.numbers import is_account_number, is_card_number

REDACTED = "[a card number or an IBAN was sent]"
"""Has blanks, so it is no destination itself."""
IDS = ("owner", "amount_minor", "currency", "provider", "requested_by", "payout_id", "actor", "reason")
"""Left as they are: one long number in ten passes for a card's, and owners' ids may be numbers."""
LENGTH_MAX = 10_000
"""A longer text is no token either, and is taken out unread."""
BLANK = re.compile("[ \t\n\v\f\r\u00a0\u2007\u202f]")


def redact(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments, without the fields that hold such a number at any depth, if the job is one about payouts."""
    if not name.startswith("payout"):
        return dict(args)
    return {
        key: REDACTED if key not in IDS and _holds_number(value) else value for key, value in args.items()
    }


def _holds_number(value: object) -> bool:
    return any(
        len(told) > LENGTH_MAX or is_card_number(text) or is_account_number(text)
        for told in _texts(value)
        for text in (BLANK.sub("", told), BLANK.sub("-", told))
    )


def _texts(value: object) -> Iterator[str]:
    """Every string and number in it."""
    match value:
        case bool() | None:
            return
        case Mapping():
            for inner in value.values():
                yield from _texts(inner)
        case list():
            for inner in value:
                yield from _texts(inner)
        case _:
            yield str(value)
