"""Account codes, which say who an account belongs to, and names within ledger keys: spelled in one place."""


def wallet_code(owner: str) -> str:
    """What the owner may spend."""
    return f"wallet:{owner}:available"


def held_code(owner: str) -> str:
    """What the owner has promised to an open payout."""
    return f"wallet:{owner}:held"


def clearing_code(provider: str) -> str:
    """What the provider holds for the tenant, seen from its other side: negative when it owes us."""
    return f"provider:{provider}:clearing"


def bank_code(account: str) -> str:
    """What providers have paid out to this bank account of the tenant's, seen from its other side as clearing is."""
    return f"bank:{account}"


def house_code(reason: str) -> str:
    """The tenant's own side of wallet jobs, one account per reason."""
    return f"house:{reason}"


def suspense_code(name: str) -> str:
    """Money that awaits a person's decision."""
    return f"suspense:{name}"


SHORTFALL = suspense_code("shortfall")
"""Bears what goes back and the wallet no longer has."""


def key_part(name: str) -> str:
    """A name of a caller's inside a ledger key: its colons are escaped, so that no two effects share a key."""
    return name.replace("%", "%25").replace(":", "%3A")


def may_overdraw(code: str) -> bool:
    """Only wallets are kept from going below zero; the other sides may."""
    return not code.startswith("wallet:")
