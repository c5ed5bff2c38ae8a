"""The task that most people write: plain Celery, prefork, an ORM session per message.

`celery -A tests.bench.peers.celery_orm worker -c 4`.
"""

import hashlib
import os
from datetime import UTC, datetime

from celery import Celery
from sqlalchemy import BigInteger, DateTime, Identity, LargeBinary, Text, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

app = Celery("plain", broker=os.environ["LEDGERBEAT_REDIS_URL"])
app.conf.update(task_ignore_result=True, task_default_queue="plain", worker_hijack_root_logger=False)
engine = create_engine(os.environ["LEDGERBEAT_DATABASE_URL"], pool_size=1)


class Base(DeclarativeBase):
    """The mapped tables."""


class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    tenant: Mapped[str] = mapped_column(Text)
    code: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    balance_minor: Mapped[int] = mapped_column(BigInteger)


class Transaction(Base):
    __tablename__ = "ledger_transactions"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    idempotency_key: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    occurred_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Entry(Base):
    __tablename__ = "ledger_entries"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    transaction_id: Mapped[int] = mapped_column(BigInteger)
    account_id: Mapped[int] = mapped_column(BigInteger)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    balance_after_minor: Mapped[int] = mapped_column(BigInteger)


def deposit(key: str, owner: str, amount: int) -> None:
    """House to wallet, once for each key."""
    codes = ["house:promo", f"wallet:{owner}:available"]
    with Session(engine) as session, session.begin():
        wanted = select(Account).where(
            Account.tenant == "acme", Account.code.in_(codes), Account.currency == "EUR"
        )
        accounts = {a.code: a for a in session.scalars(wanted.order_by(Account.id).with_for_update())}
        asked = select(Transaction).where(Transaction.tenant == "acme", Transaction.idempotency_key == key)
        if session.scalars(asked).one_or_none() is not None:
            return
        fingerprint = hashlib.sha256(f"{owner} {amount}".encode()).digest()
        transaction = Transaction(
            tenant="acme",
            kind="wallet.credit",
            idempotency_key=key,
            fingerprint=fingerprint,
            occurred_at=datetime.now(UTC),
        )
        session.add(transaction)
        session.flush()
        for code, moved in zip(codes, (-amount, amount), strict=True):
            accounts[code].balance_minor += moved
            after = accounts[code].balance_minor
            session.add(
                Entry(
                    transaction_id=transaction.id,
                    account_id=accounts[code].id,
                    amount_minor=moved,
                    balance_after_minor=after,
                )
            )


task = app.task(deposit)
send = task.delay
