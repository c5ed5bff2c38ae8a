"""policies.set: what a tenant allows, with who decided it and why."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from models.audit import audit_events
from models.base import require_aware
from models.jobs.outcomes import Done, Outcome, Refused
from models.ledger.overdraft import count_overdrawn, follow_mode
from models.tenants import POLICY_FIELDS, Policy, Tenant, load_tenant, tenants, update_policy
from tasks.intake.port import Work
from worker.catalogue import PolicySet


def set_policies(
    session: Session, work: Sequence[Work[PolicySet]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `policies.set`: one outcome per job, in order. Load the tenant again afterwards."""
    session.execute(tenants.select().where(tenants.c.tenant == tenant.name).with_for_update())
    first = policy = load_tenant(session, tenant.name).policy
    enforcing = any(one.args.changes().get("ledger_mode") == "enforce" for one in work)
    overdrawn = count_overdrawn(session, tenant.name) if enforcing else 0
    outcomes: list[Outcome] = []
    audited: list[dict[str, Any]] = []
    for one in work:
        decided = change(policy, one.args, overdrawn)
        if isinstance(decided, Policy):
            audited.append(_audit_event(one, policy, decided, require_aware(now)))
            policy = decided
            outcomes.append(Done({"changed": sorted(one.args.changes())}))
        else:
            outcomes.append(decided)
    _save(session, tenant.name, first, policy)
    if audited:
        session.execute(audit_events.insert(), audited)
    return outcomes


def change(policy: Policy, args: PolicySet, overdrawn: int) -> Policy | Refused:
    """The policy after the job; not `enforce` while `overdrawn` wallets are below zero without leave. Pure."""
    after = replace(policy, **args.changes())
    if overdrawn and (policy.ledger_mode, after.ledger_mode) == ("shadow", "enforce"):
        return Refused("negative_balances", {"wallets": overdrawn})
    return after


def _save(session: Session, tenant: str, before: Policy, after: Policy) -> None:
    if after == before:
        return
    update_policy(session, tenant, asdict(after))
    if after.ledger_mode != before.ledger_mode:
        follow_mode(session, tenant, shadow=after.ledger_mode == "shadow")


def _audit_event(one: Work[PolicySet], before: Policy, after: Policy, now: datetime) -> dict[str, Any]:
    changed = [name for name in POLICY_FIELDS if name in one.args.changes()]
    return {
        "tenant": one.job.tenant,
        "actor": one.args.actor,
        "action": "policies.set",
        "subject": f"tenant:{one.job.tenant}",
        "reason": one.args.reason,
        "detail": {
            "before": {name: getattr(before, name) for name in changed},
            "after": {name: getattr(after, name) for name in changed},
        },
        "job_id": one.job.id,
        "at": now,
    }
