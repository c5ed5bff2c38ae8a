"""Which postings of a batch may stand, one after another: pure, on balances that the caller has locked.

The order of the checks is the contract: replay and conflict first, business rules after, so that repeating the
job that emptied a wallet is a replay and not "insufficient funds".
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

from models.errors import MalformedPosting
from models.ledger.outcomes import AccountKey, Leg, Posting, Refused
from models.money import BIGINT_MAX

TransactionKey = tuple[str, str]
"""(tenant, idempotency key)"""


@dataclass(slots=True)
class Account:
    """A locked account row; `balance` runs along while the batch is decided."""

    id: int
    balance: int
    allow_overdraft: bool
    shadow: bool

    @property
    def spendable(self) -> int:
        return max(self.balance, 0)


@dataclass(slots=True)
class Standing:
    """A transaction that stands: in the ledger (`id` known), or decided earlier in this batch or in its rehearsal."""

    fingerprint: bytes
    id: int | None


class Entry(NamedTuple):
    """One entry to write. `short_minor` > 0: the account went below zero by so much because it is in shadow."""

    account_id: int
    code: str
    currency: str
    amount_minor: int
    balance_after_minor: int
    short_minor: int = 0


class Write(NamedTuple):
    """Decided: to be written. `standing` has its id once it is."""

    posting: Posting
    standing: Standing
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Replay:
    """Decided: stands already, under this key."""

    key: TransactionKey


Decision = Write | Replay | Refused


@dataclass(slots=True)
class Batch:
    """The facts of one batch, and what has been decided so far."""

    accounts: dict[AccountKey, Account]
    standing: dict[TransactionKey, Standing] = field(default_factory=dict)

    def decide(self, postings: Sequence[Posting]) -> list[Decision]:
        """One decision per posting, in order. Raises MalformedPosting when a group is torn apart."""
        decisions: list[Decision] = []
        seen: set[tuple[str, str]] = set()
        for (tenant, group), unit in _units(postings):
            if group is not None:
                if (tenant, group) in seen:
                    raise MalformedPosting(f"the postings of group {group} are not next to each other")
                seen.add((tenant, group))
                decisions += self._decide_group(list(unit))
            else:
                decisions += [self._decide_one(posting) for posting in unit]
        return decisions

    def _decide_one(self, posting: Posting) -> Decision:
        key = (posting.tenant, posting.key)
        if stands := self.standing.get(key):
            return Replay(key) if stands.fingerprint == posting.fingerprint else _conflict(posting)
        if posting.requires and (posting.tenant, posting.requires) not in self.standing:
            return Refused("requirement_missing", {"requires": posting.requires})
        running: dict[AccountKey, int] = {}
        entries = self._entries(posting, running)
        if isinstance(entries, Refused):
            return entries
        for account_key, balance in running.items():
            self.accounts[account_key].balance = balance
        standing = self.standing[key] = Standing(posting.fingerprint, None)
        return Write(posting, standing, entries)

    def _decide_group(self, postings: Sequence[Posting]) -> list[Decision]:
        before = {key: self.accounts[key].balance for key in account_keys(postings)}
        decisions = [self._decide_one(posting) for posting in postings]
        if not any(isinstance(decision, Refused) for decision in decisions):
            return decisions
        for key, balance in before.items():
            self.accounts[key].balance = balance
        for decision in decisions:
            if isinstance(decision, Write):
                del self.standing[decision.posting.tenant, decision.posting.key]
        return [self._refuse_with_group(decision) for decision in decisions]

    def _refuse_with_group(self, decision: Decision) -> Decision:
        """Refused is what the group would have written, and the repetition of it within the group."""
        fell = isinstance(decision, Write) or (
            isinstance(decision, Replay) and decision.key not in self.standing
        )
        return Refused("group_refused") if fell else decision

    def _entries(self, posting: Posting, running: dict[AccountKey, int]) -> list[Entry] | Refused:
        """The entries, and in `running` the balances after them."""
        entries: list[Entry] = []
        tenant, accounts = posting.tenant, self.accounts
        for leg in posting.legs:
            currency = leg.currency
            for code, amount in self._split(tenant, leg, running):
                key = (tenant, code, currency)
                account = accounts[key]
                after = running.get(key, account.balance) + amount
                if not -BIGINT_MAX <= after <= BIGINT_MAX:
                    return Refused("amount_out_of_range", {"currency": currency})
                running[key] = after
                short = _short(account, amount, after) if after < 0 else 0
                entries.append(Entry(account.id, code, currency, amount, after, short))
        return self._refuse_overdrawn(running) or entries

    def _split(self, tenant: str, leg: Leg, running: dict[AccountKey, int]) -> Sequence[tuple[str, int]]:
        """The leg itself, or what the account can bear and the rest from its cover."""
        if leg.cover is None or leg.amount_minor > 0:
            return ((leg.code, leg.amount_minor),)
        key = (tenant, leg.code, leg.currency)
        account = self.accounts[key]
        if account.allow_overdraft or account.shadow:
            return ((leg.code, leg.amount_minor),)
        borne = min(max(running.get(key, account.balance), 0), -leg.amount_minor)
        parts = ((leg.code, -borne), (leg.cover, leg.amount_minor + borne))
        return [(code, amount) for code, amount in parts if amount]

    def _refuse_overdrawn(self, running: dict[AccountKey, int]) -> Refused | None:
        for key, after in running.items():
            if after >= 0:
                continue
            account = self.accounts[key]
            if not account.allow_overdraft and not account.shadow:
                return Refused("insufficient_funds", {"currency": key[2], "short_minor": -after})
        return None


def account_keys(postings: Iterable[Posting]) -> set[AccountKey]:
    """Every account that these postings touch or may touch."""
    keys = set()
    for posting in postings:
        for leg in posting.legs:
            keys.add((posting.tenant, leg.code, leg.currency))
            if leg.cover is not None:
                keys.add((posting.tenant, leg.cover, leg.currency))
    return keys


def _units(postings: Sequence[Posting]) -> Iterator[tuple[tuple[str, str | None], Iterator[Posting]]]:
    return groupby(postings, key=lambda posting: (posting.tenant, posting.group))


def _short(account: Account, amount: int, after: int) -> int:
    """Of a balance below zero."""
    enforced_elsewhere = account.shadow and not account.allow_overdraft
    return min(-after, -amount) if enforced_elsewhere and amount < 0 else 0


def _conflict(posting: Posting) -> Refused:
    return Refused("idempotency_conflict", {"key": posting.key})
