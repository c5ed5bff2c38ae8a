"""deposits.expect: announce deposits, within the daily limit, and wake the events that came before them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from models.base import require_aware
from models.deposits import wait_keys
from models.jobs.claim import Job, wake
from models.jobs.outcomes import Done, Outcome, Refused
from models.tenants import Tenant
from tasks.deposits.limits import exceeds_limit
from tasks.intake.port import Touched, Work
from worker.catalogue import DepositExpect

Reference = tuple[str, str]
"""(provider, reference)"""
Purse = tuple[str, str]
"""(owner, currency): what a daily limit is counted by"""

# One at a time per tenant, whoever calls: neither a reference nor what is left of a limit can be taken twice.
LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('ledgerbeat.deposits:' || :tenant, 0))")

STANDING = text("""
    SELECT d.provider, d.reference, d.owner, d.amount_minor, d.currency
    FROM unnest(CAST(:providers AS text[]), CAST(:references AS text[])) AS k (provider, reference)
    JOIN (SELECT tenant, provider, reference, owner, expected_minor AS amount_minor, currency FROM deposits) d
        ON d.tenant = :tenant AND d.provider = k.provider AND d.reference = k.reference
""")

# A deposit counts for what was announced, or for what was captured where that is more; a failed one not at all.
USED = text("""
    SELECT d.owner, d.currency, sum(greatest(d.expected_minor, d.captured_minor)) AS used_minor
    FROM unnest(CAST(:owners AS text[]), CAST(:currencies AS text[])) AS k (owner, currency)
    JOIN deposits d ON d.tenant = :tenant AND d.owner = k.owner AND d.currency = k.currency
    WHERE d.business_date = :business_date AND d.state <> 'failed'
    GROUP BY 1, 2
""")

INSERT = text("""
    INSERT INTO deposits (tenant, provider, reference, owner, currency, expected_minor, business_date, job_id,
        expected_at, updated_at)
    SELECT :tenant, n.provider, n.reference, n.owner, n.currency, n.expected_minor, :business_date, n.job_id,
        :now, :now
    FROM unnest(CAST(:providers AS text[]), CAST(:references AS text[]), CAST(:owners AS text[]),
        CAST(:currencies AS text[]), CAST(:amounts AS bigint[]), CAST(:job_ids AS uuid[]))
        AS n (provider, reference, owner, currency, expected_minor, job_id)
    ORDER BY 2, 3
""")


@dataclass(slots=True)
class Book:
    """What stands when a job is decided; grows as the run goes on."""

    standing: dict[Reference, DepositExpect]
    used_minor: dict[Purse, int]


def touch_expected(_session: Session, _tenant: str, work: Sequence[Work[DepositExpect]]) -> Sequence[Touched]:
    """The deposit, and its owner, whose other deposits the daily limit counts."""
    return [
        frozenset({f"deposit:{one.args.provider}:{one.args.reference}", f"owner:{one.args.owner}"})
        for one in work
    ]


def expect_deposits(
    session: Session, work: Sequence[Work[DepositExpect]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `deposits.expect`: one outcome per job, in order; the same announcement again is a duplicate."""
    session.execute(LOCK, {"tenant": tenant.name})
    book = _open_book(session, [one.args for one in work], tenant, now)
    outcomes: list[Outcome] = [expect(book, one.args, tenant, now) for one in work]
    fresh = [
        (one.job, one.args)
        for one, outcome in zip(work, outcomes, strict=True)
        if isinstance(outcome, Done) and not outcome.reason
    ]
    _insert(session, fresh, tenant, require_aware(now))
    awaited = {key for _, args in fresh for key in wait_keys(args.provider, args.reference)}
    wake(session, tenant.name, awaited, now=now)
    return outcomes


def expect(book: Book, args: DepositExpect, tenant: Tenant, now: datetime) -> Done | Refused:
    """Decide one announcement and note it in the book: known ones first, then the limit."""
    result = {"provider": args.provider, "reference": args.reference}
    known = book.standing.get((args.provider, args.reference))
    if known == args:
        return Done(result, "duplicate")
    if known is not None:
        return Refused("reference_conflict", {"differs": _differences(known, args)})
    purse = (args.owner, args.currency)
    used = book.used_minor.get(purse, 0)
    if refused := exceeds_limit(tenant, used, args.amount_minor, now):
        return refused
    book.standing[args.provider, args.reference] = args
    book.used_minor[purse] = used + args.amount_minor
    return Done(result)


def _differences(known: DepositExpect, asked: DepositExpect) -> list[str]:
    return [
        name for name in ("owner", "amount_minor", "currency") if getattr(known, name) != getattr(asked, name)
    ]


def _open_book(session: Session, asked: Sequence[DepositExpect], tenant: Tenant, now: datetime) -> Book:
    keys = sorted({(args.provider, args.reference) for args in asked})
    values = {"tenant": tenant.name} | _columns(keys, "providers", "references")
    rows = session.execute(STANDING, values).mappings()
    standing = {(row["provider"], row["reference"]): DepositExpect(**row) for row in rows}
    limited = tenant.policy.daily_deposit_limit_minor is not None
    return Book(standing, _used(session, asked, tenant, now) if limited else {})


def _used(
    session: Session, asked: Sequence[DepositExpect], tenant: Tenant, now: datetime
) -> dict[Purse, int]:
    purses = sorted({(args.owner, args.currency) for args in asked})
    values: Mapping[str, Any] = {"tenant": tenant.name, "business_date": tenant.business_date(now)}
    rows = session.execute(USED, {**values, **_columns(purses, "owners", "currencies")})
    return {(owner, currency): int(used) for owner, currency, used in rows}


def _insert(
    session: Session, fresh: Sequence[tuple[Job, DepositExpect]], tenant: Tenant, now: datetime
) -> None:
    if not fresh:
        return
    columns = {
        "providers": [args.provider for _, args in fresh],
        "references": [args.reference for _, args in fresh],
        "owners": [args.owner for _, args in fresh],
        "currencies": [args.currency for _, args in fresh],
        "amounts": [args.amount_minor for _, args in fresh],
        "job_ids": [job.id for job, _ in fresh],
    }
    day = tenant.business_date(now)
    session.execute(INSERT, columns | {"tenant": tenant.name, "business_date": day, "now": now})


def _columns(pairs: Sequence[tuple[str, str]], first: str, second: str) -> dict[str, list[str]]:
    return {first: [one for one, _ in pairs], second: [other for _, other in pairs]}
