"""An installation for the doctor to look at, and how the tests ask."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from models.schedules import claim_slot
from ops.doctor import Finding, examine
from tests.waiting import until
from worker.database import Transaction

CONFIG = """
[tenants.acme]
timezone = "Europe/Istanbul"
api_tokens = ["env:ACME_TOKEN"]
[tenants.acme.providers.sandbox]
adapter = "sandbox"
webhook_secrets = ["env:ACME_SECRET"]
"""
TOKEN = "a-token-that-nobody-sees"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
Environment = dict[str, str]


def answered(environment: Mapping[str, str]) -> list[Finding]:
    """What the doctor finds when all that is asked answers in time, which a busy machine may not do at once."""

    def look() -> list[Finding]:
        findings = examine(environment)
        return [] if any(one.found.startswith("no answer within") for one in findings) else findings

    return until(look, what="every answer in time")


def said(environment: Mapping[str, str], verdict: str) -> dict[str, str]:
    """Check -> what was found, of this verdict."""
    return {one.check: one.found for one in answered(environment) if one.verdict == verdict}


def ticked(transaction: Transaction, age: timedelta = timedelta()) -> None:
    slot = datetime.now(UTC) - age
    with transaction() as session:
        assert claim_slot(session, "ledger.verify", slot, now=slot)


def without_redis(environment: Environment) -> list[Finding]:
    """Without Redis the doctor is quicker."""
    return answered({name: value for name, value in environment.items() if "REDIS" not in name})
