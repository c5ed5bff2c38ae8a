"""Deposits expected and captured, and every webhook body ever received for them.

`object_ids` are the provider's ids of the payments made for the reference (two when the customer paid twice);
`parts` holds each capture, refund and chargeback of them (tasks.webhooks.facts), of which the amounts are the sums.
"""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from models.base import Instant, metadata

STATES = ("expected", "failed", "captured", "refunded", "charged_back")

deposits = Table(
    "deposits",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("expected_minor", BigInteger, nullable=False),
    Column("captured_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("refunded_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("charged_back_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("state", Text, nullable=False, server_default=text("'expected'")),
    Column("business_date", Date, nullable=False),
    Column("object_ids", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    Column("parts", JSONB, nullable=False, server_default=text("'{}'")),
    Column("version", BigInteger, nullable=False, server_default=text("0")),
    Column("job_id", Uuid),
    Column("expected_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
    UniqueConstraint("tenant", "provider", "reference"),
    CheckConstraint(f"state IN {STATES}", name="state"),
    CheckConstraint("expected_minor > 0", name="expected"),
    CheckConstraint(
        "captured_minor >= 0 AND refunded_minor >= 0 AND charged_back_minor >= 0", name="not_negative"
    ),
    Index(None, "object_ids", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
    Index(None, "tenant", "owner", "currency", "business_date"),
)  # fmt: skip

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("event_keys", ARRAY(Text), nullable=False),
    Column("body_sha256", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("secret_index", SmallInteger, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=func.now()),
    UniqueConstraint("tenant", "provider", "body_sha256"),
)


def wait_keys(provider: str, reference: str | None, *object_ids: str | None) -> tuple[str, ...]:
    """What waits for a deposit, known by our reference or by the provider's payments."""
    by_reference = (f"deposit:{provider}:ref:{reference}",) if reference else ()
    return by_reference + tuple(
        f"deposit:{provider}:obj:{object_id}" for object_id in object_ids if object_id
    )
