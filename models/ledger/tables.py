"""The ledger's tables: accounts, transactions, entries. The database guards them itself (migration 0002)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Identity,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from models.base import Instant, metadata

OWNER_OF_CODE = r"substring(code from '^wallet:(.+):(available|held)$')"

accounts = Table(
    "accounts",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("balance_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("allow_overdraft", Boolean, nullable=False),
    Column("shadow", Boolean, nullable=False, server_default=text("false")),
    Column("owner", Text, Computed(OWNER_OF_CODE, persisted=True)),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    UniqueConstraint("tenant", "code", "currency"),
    CheckConstraint("balance_minor >= 0 OR allow_overdraft OR shadow", name="not_overdrawn"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    Index(None, "tenant", "owner", postgresql_where=text("owner IS NOT NULL")),
)

wallet_owners = Table(
    "wallet_owners",
    metadata,
    Column("tenant", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("kyc_status", Text, nullable=False, server_default=text("'unverified'")),
    Column("allow_overdraft", Boolean, nullable=False, server_default=text("false")),
    Column("updated_at", Instant, nullable=False),
    PrimaryKeyConstraint("tenant", "owner"),
    CheckConstraint("kyc_status IN ('unverified', 'pending', 'verified', 'rejected')", name="kyc_status"),
)

ledger_transactions = Table(
    "ledger_transactions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("subject", Text),
    Column("job_id", Uuid),
    Column("occurred_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    UniqueConstraint("tenant", "idempotency_key"),
    Index(None, "tenant", "subject", postgresql_where=text("subject IS NOT NULL")),
    Index(None, "job_id", postgresql_where=text("job_id IS NOT NULL")),
    Index(
        "ledger_transactions_occurred_at_idx",
        "occurred_at",
        postgresql_using="brin",
        postgresql_with={"pages_per_range": 32, "autosummarize": "on"},
    ),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("transaction_id", BigInteger, nullable=False, index=True),
    Column("account_id", BigInteger, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("balance_after_minor", BigInteger, nullable=False),
    CheckConstraint("amount_minor <> 0", name="moves_something"),
    Index(None, "account_id", "id"),
)

ledger_mismatches = Table(
    "ledger_mismatches",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("transaction_id", BigInteger, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("short_minor", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    CheckConstraint("short_minor > 0", name="short"),
    Index(None, "tenant", "id"),
)
