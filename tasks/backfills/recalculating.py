"""wallet_recalc: balances against the sums of their entries, account by account; what has drifted is set right.

Accounts that have not drifted are only read: nobody waits for them. The others are locked and looked at again before
they are set right, so that money that moves meanwhile is not lost.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.backfills.quarantine import SetAside
from models.backfills.runs import Run
from models.ledger.recalc import Drift, account_ids, count_accounts, drift_of, repair
from tasks.backfills.port import Applied, PastCap, Portion
from worker.database import Transaction
from worker.settings import TenantSettings
from worker.sources.port import Extent, SourceFailed

UNREPAIRABLE = (
    "the entries sum to what the account may not have: credit what is missing (wallets.credit) or allow an overdraft "
    "(wallets.configure), then run it again"
)


def settle_wallets(_tenant: TenantSettings, source: Mapping[str, Any]) -> dict[str, Any]:
    """`source` as it stays with the run: {"type": "wallets", "owner"?}. Raises SourceFailed."""
    owner = source.get("owner")
    if owner is not None and not (isinstance(owner, str) and owner):
        raise SourceFailed("owner must be a text; leave it out for all accounts of the tenant")
    return {"type": "wallets"} | ({} if owner is None else {"owner": owner})


def accounts_feed(transaction: Transaction, tenant: str, source: Mapping[str, Any]) -> "AccountsFeed":
    """The feed of a run whose source is settled."""
    return AccountsFeed(transaction, tenant, source.get("owner"))


@dataclass(frozen=True, slots=True)
class Looked:
    """An account, and whether it had drifted when it was read."""

    account_id: int
    drifted: bool


@dataclass(frozen=True, slots=True)
class AccountsFeed:
    """The accounts of a tenant, or of one owner, by id. A row is an account: posted means set right."""

    transaction: Transaction
    tenant: str
    owner: str | None = None

    def extent(self) -> Extent:
        with self.transaction() as session:
            accounts = count_accounts(session, self.tenant, owner=self.owner)
        if self.owner is not None and not accounts:
            raise SourceFailed(f"tenant {self.tenant} has no wallet of {self.owner}")
        return Extent(None, accounts, None)

    def read(self, run: Run, rows_max: int) -> Portion[Looked]:
        after = _after(run)
        with self.transaction() as session:
            ids = account_ids(session, self.tenant, owner=self.owner, after=after, rows=rows_max)
            drifted = {one.account_id for one in drift_of(session, ids)} if ids else set()
        looked = [Looked(one, one in drifted) for one in ids]
        return Portion(looked, _cursor(ids[-1] if ids else after), is_last=len(ids) < rows_max)

    def apply(self, session: Session, run: Run, portion: Portion[Looked], *, now: datetime) -> Applied:
        suspects = [one.account_id for one in portion.items if one.drifted]
        drifted = drift_of(session, suspects, lock=not run.dry_run) if suspects else []
        within = _within_cap(run, drifted)
        rows, after = _until(portion, drifted[within].account_id if within < len(drifted) else None, run)
        chosen = drifted[:within]
        fixed = [one for one in chosen if one.repairable]
        if fixed and not run.dry_run:
            ids = [one.account_id for one in fixed]
            repair(session, ids, actor=run.actor, reason=run.reason, run=run.id, now=now)
        return Applied(
            after,
            portion.is_last,
            posted=len(fixed),
            unchanged=rows - len(chosen),
            set_aside=[_unrepairable(one) for one in chosen if not one.repairable],
            money=_money(fixed),
            past_cap=_past_cap(drifted[within]) if within < len(drifted) else None,
            row_ids=lambda: _right(portion.items[:rows], chosen),
        )

    def blame(self, portion: Portion[Looked], reason: str) -> Sequence[SetAside]:
        return [
            SetAside(
                str(one.account_id), None, str(one.account_id), f"account {one.account_id}", "failed", reason
            )
            for one in portion.items
        ]


def _after(run: Run) -> int:
    return 0 if run.cursor is None else int(run.cursor["account_id"])


def _cursor(account_id: int) -> Mapping[str, Any]:
    return {"account_id": account_id}


def _within_cap(run: Run, drifted: Sequence[Drift]) -> int:
    """How many of them, in order, may be set right before one would move more than the run may."""
    moved: dict[str, int] = {}
    for count, one in enumerate(drifted):
        if not one.repairable:
            continue
        total = moved.get(one.currency, run.posted_minor(one.currency)) + _size(one)
        if run.max_amount_minor is not None and total > run.max_amount_minor:
            return count
        moved[one.currency] = total
    return len(drifted)


def _past_cap(one: Drift) -> PastCap:
    return PastCap(f"account {one.account_id}", one.currency, _size(one))


def _until(portion: Portion[Looked], stop: int | None, run: Run) -> tuple[int, Mapping[str, Any] | None]:
    """How many rows of the portion stand before the account `stop`, and the cursor behind the last of them."""
    if stop is None:
        return len(portion.items), portion.after
    ids = [one.account_id for one in portion.items if one.account_id < stop]
    return len(ids), _cursor(ids[-1]) if ids else run.cursor


def _money(fixed: Sequence[Drift]) -> dict[str, dict[str, int]]:
    money: dict[str, dict[str, int]] = {}
    for one in fixed:
        sums = money.setdefault(one.currency, {"posted": 0})
        sums["posted"] += _size(one)
    return money


def _right(looked: Sequence[Looked], drifted: Sequence[Drift]) -> list[str]:
    """The accounts that agree with their entries now: what an earlier run had set aside of them is no question more."""
    wrong = {one.account_id for one in drifted if not one.repairable}
    return [str(one.account_id) for one in looked if one.account_id not in wrong]


def _size(one: Drift) -> int:
    return abs(one.entries_minor - one.balance_minor)


def _unrepairable(one: Drift) -> SetAside:
    told = {name: value for name, value in asdict(one).items() if name != "repairable"}
    place = str(one.account_id)
    return SetAside(place, None, place, json.dumps(told), "unrepairable", UNREPAIRABLE)
