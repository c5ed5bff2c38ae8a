"""What each wallet job asks of the ledger. Pure."""

from datetime import datetime

from models.jobs.claim import Job
from models.ledger.codes import house_code, key_part, wallet_code
from models.ledger.outcomes import Leg, Posting
from worker.catalogue import Award, WalletAward, WalletCredit, WalletDebit, WalletTransfer


def credit(job: Job, args: WalletCredit, now: datetime) -> Posting:
    """The house gives, the owner gets."""
    return _between(job, "wallet.credit", house_code(args.reason), wallet_code(args.owner), args, now)


def debit(job: Job, args: WalletDebit, now: datetime) -> Posting:
    """The owner gives, the house gets."""
    return _between(job, "wallet.debit", wallet_code(args.owner), house_code(args.reason), args, now)


def transfer(job: Job, args: WalletTransfer, now: datetime) -> Posting:
    """One owner gives, another gets. The reason is part of what is asked for: it is the subject."""
    source, target = wallet_code(args.from_owner), wallet_code(args.to_owner)
    return _between(job, "wallet.transfer", source, target, args, now, subject=f"transfer:{args.reason}")


def awards(job: Job, args: WalletAward, now: datetime) -> list[Posting]:
    """One posting per award, all or none of them; each once, whichever job brings it."""
    return [_award(job, args, award, now) for award in args.awards]


def _award(job: Job, args: WalletAward, award: Award, now: datetime) -> Posting:
    return Posting(
        tenant=job.tenant,
        key=f"award:{key_part(args.event)}:{award.placement}:{award.owner}",
        kind="wallet.award",
        legs=_legs(house_code(args.reason), wallet_code(award.owner), award.amount_minor, args.currency),
        occurred_at=now,
        job_id=job.id,
        group=str(job.id),
    )


def _between(
    job: Job,
    kind: str,
    source: str,
    target: str,
    args: WalletCredit | WalletDebit | WalletTransfer,
    now: datetime,
    subject: str | None = None,
) -> Posting:
    return Posting(
        tenant=job.tenant,
        key=job_key(job),
        kind=kind,
        legs=_legs(source, target, args.amount_minor, args.currency),
        occurred_at=now,
        job_id=job.id,
        subject=subject,
    )


def job_key(job: Job) -> str:
    """The ledger key of a job's posting. Each origin has its own space of keys, as in `jobs`."""
    own = "" if job.origin == "app" else f"{job.origin}/"
    return f"{own}{job.name}:{job.idempotency_key}"


def _legs(source: str, target: str, amount_minor: int, currency: str) -> tuple[Leg, ...]:
    return (Leg(source, currency, -amount_minor), Leg(target, currency, amount_minor))
