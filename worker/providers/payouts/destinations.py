"""Where the destinations of Stripe's payouts lead. Pure; no SDK.

`acct_X` is a transfer to that connected account; `acct_X/ba_Y`, `acct_X/card_Y`, `acct_X/default` a payout of that
connected account; `ba_Y`, `card_Y`, `default` a payout of the account itself.
"""

import re

DESTINATION = re.compile(
    r"(?P<transfer>acct_\w{1,100})|((?P<account>acct_\w{1,100})/)?((?P<external>(ba|card)_\w{1,100})|default)",
    re.ASCII,
)


def account_of(destination: str) -> str | None:
    """The connected account that pays out, and whose events tell of it; None where it is the account itself."""
    found = DESTINATION.fullmatch(destination)
    return found["account"] if found else None
