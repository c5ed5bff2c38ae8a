"""The story of the demo: what upstream apps and providers send, good and bad, in order."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from ops.demo.doors import Doors
from ops.demo.payouts import pay_out
from ops.demo.vendors import FORGERY, adyen_authorisation, stripe_charge

CELERY_KEY = "split-lunch"
"""The key of the job that arrives by Celery, which is the last to be seen in the database."""

EXPECTED_WALLETS = {
    ("alice", "EUR"): 3_850,  # 50.00 captured, 10.00 of bonus, 3.50 from bob, 25.00 paid out
    ("bob", "EUR"): 5_650,  # 75.00 captured, 3.50 to alice, 15.00 paid out
    ("carol", "EUR"): 10_500,  # 120.00 captured, 5.00 of cashback, 20.00 paid out
    ("frank", "EUR"): 2_000,  # 30.00 captured, 10.00 refunded
    ("dave", "GBP"): 400,  # first place
    ("erin", "GBP"): 200,  # second place
}
"""What must be in the wallets in the end, in minor units, however often and in whatever order it all arrived."""


def play(doors: Doors) -> Mapping[str, str]:
    """Tell the whole story; every answer is kept in `doors.log`. The payouts: title -> id."""
    expect_deposits(doors)
    deposits_at_the_sandbox(doors)
    stripe_and_adyen(doors)
    wallet_jobs(doors)
    return pay_out(doors)


def expect_deposits(doors: Doors) -> None:
    for provider, reference, owner, amount in (
        ("sandbox", "order-1001", "alice", 5_000),
        ("stripe", "order-1002", "bob", 7_500),
        ("adyen", "order-1003", "carol", 12_000),
        ("sandbox", "order-1004", "frank", 3_000),
    ):
        args = {"provider": provider, "reference": reference, "owner": owner, "amount_minor": amount,
                "currency": "EUR"}  # fmt: skip
        doors.job("deposits.expect", args, key=f"expect-{reference}")


def deposits_at_the_sandbox(doors: Doors) -> None:
    """A capture whose webhook comes three times; another whose refund's webhook overtakes it."""
    order = {"reference": "order-1001", "amount_minor": 5_000, "currency": "EUR"}
    doors.at_sandbox("/deposits", order | {"metadata": {"fault": "webhook_duplicate:2"}})
    order = {"reference": "order-1004", "amount_minor": 3_000, "currency": "EUR"}
    deposit = doors.at_sandbox("/deposits", order | {"metadata": {"fault": "webhook_reordered"}})
    doors.at_sandbox(f"/deposits/{deposit['id']}/refunds", {"amount_minor": 1_000})
    doors.at_sandbox("/_flush", {"timeout_seconds": 30})
    doors.log_sandbox_webhooks()


def stripe_and_adyen(doors: Doors) -> None:
    """Stripe twice, forged and stale; Adyen once and once again."""
    now = datetime.now(UTC)
    secret = doors.secret("stripe")
    charge = stripe_charge("evt_demo_1", "order-1002", 7_500, secret=secret, at=now)
    doors.webhook("stripe", charge, "charge.succeeded order-1002")
    doors.webhook("stripe", charge, "charge.succeeded order-1002 again")
    forged = stripe_charge("evt_demo_2", "order-1002", 900_000, secret=FORGERY, at=now)
    doors.webhook("stripe", forged, "charge.succeeded 9,000.00 EUR, forged")
    stale = stripe_charge("evt_demo_3", "order-1002", 7_500, secret=secret, at=now - timedelta(minutes=6))
    doors.webhook("stripe", stale, "charge.succeeded, signed six minutes ago")
    authorised = adyen_authorisation("NC6HT9CRT65ZGN82", "order-1003", 12_000, secret=doors.secret("adyen"))
    doors.webhook("adyen", authorised, "AUTHORISATION order-1003")
    doors.webhook("adyen", authorised, "AUTHORISATION order-1003 again")


def wallet_jobs(doors: Doors) -> None:
    """All three doors, with a replay, a reused key, a debit that nobody can pay, and nonsense."""
    bonus = {"owner": "alice", "amount_minor": 1_000, "currency": "EUR", "reason": "bonus"}
    doors.job("wallets.credit", bonus, key="bonus-alice")
    doors.job("wallets.credit", bonus, key="bonus-alice")
    doors.job("wallets.credit", bonus | {"amount_minor": 9_999}, key="bonus-alice")
    doors.job("wallets.credit", bonus | {"amount_minor": 10.5}, key="bonus-float")
    doors.job("wallets.credit", bonus, key="bonus-stranger", token="not-a-token-of-anyone")  # noqa: S106 - a wrong one
    cashback = {"owner": "carol", "amount_minor": 500, "currency": "EUR", "reason": "cashback"}
    doors.sql("wallets.credit", cashback, key="cashback-carol")
    transfer = {
        "from_owner": "bob",
        "to_owner": "alice",
        "amount_minor": 350,
        "currency": "EUR",
        "reason": "split",
    }
    doors.celery("wallets.transfer", transfer, key=CELERY_KEY)
    doors.celery("wallets.transfer", transfer, key=CELERY_KEY)
    too_much = {"owner": "bob", "amount_minor": 99_999_900, "currency": "EUR", "reason": "purchase"}
    doors.job("wallets.debit", too_much, key="yacht-bob")
    prizes = [
        {"owner": "dave", "placement": 1, "amount_minor": 400},
        {"owner": "erin", "placement": 2, "amount_minor": 200},
    ]
    award = {"event": "cup-2026", "awards": prizes, "currency": "GBP", "reason": "prizes"}
    doors.job("wallets.award", award, key="cup-2026")
    doors.job("wallets.award", award, key="cup-2026-once-more")
