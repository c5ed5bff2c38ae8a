"""wallets.configure: what an owner may do. Facts are read once, changed in memory in order, written back once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.audit import audit_events
from models.base import require_aware
from models.jobs.claim import Job
from models.jobs.outcomes import Done, Outcome, Refused
from models.ledger.overdraft import WalletAccount, lock_wallets, set_overdraft
from models.tenants import Tenant
from tasks.intake.port import Work
from worker.catalogue import WalletConfigure


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner: the standing permissions, and those of each wallet (by currency)."""

    name: str
    kyc_status: str = "unverified"
    allow_overdraft: bool = False
    wallets: Mapping[str, WalletAccount] = field(default_factory=dict)


LOCK_OWNERS = text("""
    SELECT owner, kyc_status, allow_overdraft FROM wallet_owners
    WHERE tenant = :tenant AND owner = ANY(CAST(:owners AS text[])) ORDER BY owner FOR UPDATE
""")

SAVE_OWNERS = text("""
    INSERT INTO wallet_owners (tenant, owner, kyc_status, allow_overdraft, updated_at)
    SELECT :tenant, n.*, :now
    FROM unnest(CAST(:owners AS text[]), CAST(:kyc AS text[]), CAST(:allowed AS boolean[])) AS n
    ORDER BY 2
    ON CONFLICT (tenant, owner) DO UPDATE SET
        kyc_status = excluded.kyc_status, allow_overdraft = excluded.allow_overdraft, updated_at = excluded.updated_at
""")


def apply_configures(
    session: Session, work: Sequence[Work[WalletConfigure]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `wallets.configure`: one outcome per job, in order; each change is audited."""
    found = _load(session, tenant.name, sorted({one.args.owner for one in work}))
    owners = dict(found)
    outcomes: list[Outcome] = []
    audited: list[dict[str, Any]] = []
    for one in work:
        before = owners[one.args.owner]
        decided = configure(before, one.args)
        if isinstance(decided, Owner):
            owners[before.name] = decided
            audited.append(_audit_event(one.job, before, decided, now))
        outcomes.append(decided if isinstance(decided, Refused) else Done(_permissions(decided)))
    _save(session, tenant, found, owners, require_aware(now))
    if audited:
        session.execute(audit_events.insert(), audited)
    return outcomes


def configure(owner: Owner, args: WalletConfigure) -> Owner | Refused:
    """The owner after the job. No overdraft is taken from a wallet that uses it. Pure."""
    after = owner if args.kyc_status is None else replace(owner, kyc_status=args.kyc_status)
    if args.allow_overdraft is None:
        return after
    currencies = list(owner.wallets) if args.currency is None else [args.currency]
    wallets = {currency: owner.wallets.get(currency, _new(owner, currency)) for currency in currencies}
    overdrawn = sorted(name for name, one in wallets.items() if one.allow_overdraft and one.balance_minor < 0)
    if overdrawn and not args.allow_overdraft:
        return Refused("overdrawn", {"currencies": overdrawn})
    changed = {name: replace(one, allow_overdraft=args.allow_overdraft) for name, one in wallets.items()}
    for_all = after.allow_overdraft if args.currency else args.allow_overdraft
    return replace(after, allow_overdraft=for_all, wallets={**owner.wallets, **changed})


def _new(owner: Owner, currency: str) -> WalletAccount:
    return WalletAccount(owner.name, currency, 0, owner.allow_overdraft)


def _load(session: Session, tenant: str, names: Sequence[str]) -> dict[str, Owner]:
    rows = session.execute(LOCK_OWNERS, {"tenant": tenant, "owners": names})
    owners = {name: Owner(name) for name in names} | {row.owner: Owner(*row) for row in rows}
    for wallet in lock_wallets(session, tenant, names):
        owner = owners[wallet.owner]
        owners[owner.name] = replace(owner, wallets={**owner.wallets, wallet.currency: wallet})
    return owners


def _save(
    session: Session, tenant: Tenant, found: Mapping[str, Owner], owners: Mapping[str, Owner], now: datetime
) -> None:
    changed = [owner for name, owner in owners.items() if owner != found[name]]
    if not changed:
        return
    columns = {
        "owners": [owner.name for owner in changed],
        "kyc": [owner.kyc_status for owner in changed],
        "allowed": [owner.allow_overdraft for owner in changed],
    }
    session.execute(SAVE_OWNERS, columns | {"tenant": tenant.name, "now": now})
    wallets = [
        (owner.name, currency, wallet.allow_overdraft)
        for owner in changed
        for currency, wallet in owner.wallets.items()
        if wallet != found[owner.name].wallets.get(currency)
    ]
    set_overdraft(session, tenant.name, wallets, shadow=tenant.shadow)


def _audit_event(job: Job, before: Owner, after: Owner, now: datetime) -> dict[str, Any]:
    return {
        "tenant": job.tenant,
        "actor": f"app:{job.tenant}",
        "action": "wallets.configure",
        "subject": f"wallet:{after.name}",
        "reason": f"job {job.idempotency_key}",
        "detail": {"before": _permissions(before), "after": _permissions(after)},
        "job_id": job.id,
        "at": now,
    }


def _permissions(owner: Owner) -> dict[str, Any]:
    wallets = {currency: wallet.allow_overdraft for currency, wallet in sorted(owner.wallets.items())}
    return {
        "kyc_status": owner.kyc_status,
        "allow_overdraft": owner.allow_overdraft,
        "allow_overdraft_by_currency": wallets,
    }
