"""Wallet jobs take effect: each run is one batch for the ledger, each job one outcome."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy.orm import Session

from models.jobs.claim import Job
from models.jobs.outcomes import Done, Outcome, Refused
from models.ledger import outcomes as ledger
from models.ledger.codes import wallet_code
from models.ledger.posting import post
from models.tenants import Tenant
from tasks.intake.port import Touched, Work
from tasks.wallets import postings
from worker.catalogue import WalletAward, WalletConfigure, WalletCredit, WalletDebit, WalletTransfer

A = TypeVar("A", WalletCredit, WalletDebit, WalletTransfer)
WalletJob = WalletCredit | WalletDebit | WalletTransfer | WalletAward | WalletConfigure


def touch_owners(_session: Session, _tenant: str, work: Sequence[Work[WalletJob]]) -> Sequence[Touched]:
    """The owners of each job. The house's side may be overdrawn, so it decides nothing and is not named."""
    return [frozenset(f"owner:{owner}" for owner in _owners(one.args)) for one in work]


def _owners(args: WalletJob) -> Sequence[str]:
    match args:
        case WalletTransfer():
            return (args.from_owner, args.to_owner)
        case WalletAward():
            return [award.owner for award in args.awards]
        case _:
            return (args.owner,)


def apply_credits(
    session: Session, work: Sequence[Work[WalletCredit]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `wallets.credit`."""
    return _apply(session, work, postings.credit, lambda args: args.owner, tenant, now)


def apply_debits(
    session: Session, work: Sequence[Work[WalletDebit]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `wallets.debit`: refused as `insufficient_funds` when the owner has too little."""
    return _apply(session, work, postings.debit, lambda args: args.owner, tenant, now)


def apply_transfers(
    session: Session, work: Sequence[Work[WalletTransfer]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `wallets.transfer`. The result tells the sender's balance, never the receiver's."""
    return _apply(session, work, postings.transfer, lambda args: args.from_owner, tenant, now)


def apply_awards(
    session: Session, work: Sequence[Work[WalletAward]], *, tenant: Tenant, now: datetime
) -> list[Outcome]:
    """Handler of `wallets.award`: a job's awards stand or fall together; those that stand already are replays."""
    asked = [postings.awards(one.job, one.args, now) for one in work]
    answers = iter(post(session, [award for job in asked for award in job], now=now, shadow=tenant.shadow))
    return [_awarded(one.args, [next(answers) for _ in job]) for one, job in zip(work, asked, strict=True)]


def _apply(
    session: Session,
    work: Sequence[Work[A]],
    posting: Callable[[Job, A, datetime], ledger.Posting],
    payer: Callable[[A], str],
    tenant: Tenant,
    now: datetime,
) -> list[Outcome]:
    asked = [posting(one.job, one.args, now) for one in work]
    answers = post(session, asked, now=now, shadow=tenant.shadow)
    return [_moved(payer(one.args), answer) for one, answer in zip(work, answers, strict=True)]


def _moved(owner: str, answer: ledger.PostingOutcome) -> Outcome:
    match answer:
        case ledger.Refused(code, detail):
            return Refused(code, detail)
        case ledger.Created(transaction_id, balances) | ledger.Replayed(transaction_id, balances):
            after = {code: balance for code, _, balance in balances}
            result = {"transaction_id": transaction_id, "balance_minor": after[wallet_code(owner)]}
            return Done(result, "replayed" if isinstance(answer, ledger.Replayed) else "")


def _awarded(args: WalletAward, answers: Sequence[ledger.PostingOutcome]) -> Outcome:
    refused = [answer for answer in answers if isinstance(answer, ledger.Refused)]
    if refused:
        return _not_awarded(refused)
    created = sum(isinstance(answer, ledger.Created) for answer in answers)
    result = {
        "created": created,
        "replayed": len(answers) - created,
        "total_minor": sum(award.amount_minor for award in args.awards),
    }
    return Done(result, "" if created else "replayed")


def _not_awarded(refused: Sequence[ledger.Refused]) -> Refused:
    """The awards at fault, not those that merely fell with them."""
    at_fault = [answer.code for answer in refused if answer.code != "group_refused"]
    return Refused(at_fault[0], {"awards": at_fault.count(at_fault[0])})
