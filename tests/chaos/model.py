"""The reference: what every account must hold, told by the senders alone. It shares no code with what it judges."""

from collections import Counter
from typing import NamedTuple


class Account(NamedTuple):
    """One balance of one tenant."""

    tenant: str
    code: str
    currency: str


def wallet(owner: str) -> str:
    return f"wallet:{owner}:available"


class Books:
    """Balances in minor units. Only wallets refuse to go below zero."""

    def __init__(self) -> None:
        self.balances: Counter[Account] = Counter()

    def balance(self, tenant: str, owner: str, currency: str) -> int:
        return self.balances[Account(tenant, wallet(owner), currency)]

    def move(self, tenant: str, source: str, target: str, currency: str, amount_minor: int) -> bool:
        """From one account to another; False, and nothing moves, when a wallet has too little."""
        giver, taker = Account(tenant, source, currency), Account(tenant, target, currency)
        if source.startswith("wallet:") and self.balances[giver] < amount_minor:
            return False
        self.balances[giver] -= amount_minor
        self.balances[taker] += amount_minor
        return True
