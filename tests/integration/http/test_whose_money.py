"""An authentic event of another account or mode is kept and counted, and moves nothing; ours go on."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from models.ledger.verify import verify
from tests.integration.http import serving
from tests.integration.http.shop import EUR, Shop, adyen_signed
from tests.waiting import PATIENCE_SECONDS
from worker.database import Transaction
from worker.settings import ProviderSettings

OTHER = ("dead", "other_account")
DONE = ("done", None)
SECRETS = {"stripe": serving.STRIPE_SECRET, "adyen": serving.ADYEN_SECRET, "sandbox": serving.SANDBOX_SECRET}


@pytest.fixture
def told() -> dict[str, dict[str, Any]]:
    """Settings by provider; a test may add to them before it asks for the shop."""
    return {"stripe": {}, "adyen": {"merchant_accounts": ("TeaGardenECOM",)}}


@pytest.fixture
def shop(
    database_url: str, transaction: Transaction, patient: None, told: dict[str, dict[str, Any]]
) -> Iterator[Shop]:
    configured = serving.settings(database_url)
    acme = configured.tenants["acme"]
    providers = dict(acme.providers)
    for name, more in told.items():
        own: dict[str, Any] = {"name": name, "adapter": name, "webhook_secrets": (SecretStr(SECRETS[name]),)}
        providers[name] = ProviderSettings.model_validate(own | more)
    tenants = configured.tenants | {"acme": acme.model_copy(update={"providers": providers})}
    with (
        serving.serving(configured.model_copy(update={"tenants": tenants})) as address,
        httpx.Client(base_url=address, timeout=PATIENCE_SECONDS) as client,
    ):
        shop = Shop(client, transaction)
        for provider in told:
            shop.expect(provider)
        yield shop
    with transaction() as session:
        assert [check for check in verify(session) if check.broken] == []


class TestStripe:
    @pytest.mark.parametrize(
        ("event", "field"),
        [
            ({"account": "acct_merchant"}, "account"),
            ({"livemode": False}, "livemode"),
            ({"livemode": False, "account": "acct_merchant"}, "livemode"),
            ({"context": "acct_merchant"}, "context"),
            ({"account": ""}, "account"),
        ],
    )
    def test_the_charge_of_another_account_credits_nothing(
        self, shop: Shop, event: dict[str, Any], field: str
    ) -> None:
        body = shop.charge(event=event, id="ch_other")
        assert shop.stripe(body).status_code == 202
        assert (shop.wallet(), shop.jobs()) == (0, [OTHER])
        [cause] = shop.causes()
        assert cause.startswith(f"charge.succeeded: {field} is ")
        assert "acct_merchant" not in cause
        assert len(shop.bodies()) == 1
        assert shop.stripe(body).json() == {"received": 1, "duplicate": True}
        assert shop.stripe(shop.charge()).status_code == 202
        assert (shop.wallet(), shop.jobs()) == (EUR, [OTHER, DONE])

    @pytest.mark.parametrize(
        ("type_", "changes"),
        [
            ("charge.failed", {"captured": False}),
            ("charge.refunded", {"amount_refunded": EUR, "refunded": True}),
            ("charge.expired", {"captured": False}),
            (
                "charge.dispute.created",
                {"id": "du_1", "object": "dispute", "charge": "ch_1", "status": "needs_response"},
            ),
        ],
    )
    def test_nor_does_it_fail_refund_or_dispute_ours(
        self, shop: Shop, type_: str, changes: dict[str, Any]
    ) -> None:
        shop.stripe(shop.charge())
        shop.stripe(shop.charge(type_, {"account": "acct_merchant"}, **changes))
        assert (shop.wallet(), shop.jobs()) == (EUR, [DONE, OTHER])

    def test_told_together_in_one_run_it_takes_nothing_of_ours_away(self, shop: Shop) -> None:
        """The foreign event names our reference and another charge: that teaches nobody whose charge that is."""
        for event in (shop.charge(event={"account": "acct_merchant"}, id="ch_other"), shop.charge()):
            shop.stripe(event)
        refund = shop.charge(
            "charge.refunded", id="ch_other", amount_refunded=EUR, metadata={}, payment_intent="pi_x"
        )
        shop.stripe(refund)
        assert shop.wallet() == EUR

    @pytest.mark.parametrize(
        "told", [{"stripe": {"account": "acct_merchant"}}, {"stripe": {"accounts": ("acct_merchant",)}}]
    )
    def test_a_listed_account_is_ours(self, shop: Shop) -> None:
        shop.stripe(shop.charge(event={"account": "acct_merchant"}))
        shop.stripe(shop.charge(event={"account": "acct_stranger"}, id="ch_2"))
        assert (shop.wallet(), shop.jobs()) == (EUR, [DONE, OTHER])

    @pytest.mark.parametrize("told", [{"stripe": {"live": False}}])
    def test_with_live_false_test_mode_is_ours(self, shop: Shop) -> None:
        shop.stripe(shop.charge(id="ch_live"))
        shop.stripe(shop.charge(event={"livemode": False}))
        assert (shop.wallet(), shop.jobs()) == (EUR, [OTHER, DONE])

    def test_it_is_counted(self, shop: Shop) -> None:
        shop.stripe(shop.charge(event={"livemode": False}))
        counted = shop.rows("SELECT outcome, reason, total FROM job_outcomes WHERE name = 'webhooks.event'")
        told = [(row["outcome"], row["reason"], row["total"]) for row in counted]
        assert ("dead", "other_account", 1) in told


class TestAdyen:
    @pytest.mark.parametrize(
        ("changes", "live", "field"),
        [
            ({"merchantAccountCode": "OtherBrandPOS"}, "true", "merchantAccountCode"),
            ({"merchantAccountCode": "teagardenecom"}, "true", "merchantAccountCode"),
            ({}, "false", "live"),
            ({}, False, "live"),
            ({"merchantAccountCode": "OtherBrandPOS"}, "false", "live"),
        ],
    )
    def test_the_payment_of_another_merchant_account_credits_nothing(
        self, shop: Shop, changes: dict[str, Any], live: object, field: str
    ) -> None:
        assert shop.adyen(shop.payment(**changes), live=live).status_code == 202
        assert (shop.wallet(), shop.jobs()) == (0, [OTHER])
        [cause] = shop.causes()
        assert cause.startswith(f"AUTHORISATION:true: {field} is ")
        assert "OtherBrand" not in cause
        shop.adyen(shop.payment())
        assert (shop.wallet(), shop.jobs()) == (EUR, [OTHER, DONE])

    def test_each_item_is_looked_at(self, shop: Shop) -> None:
        shop.adyen(shop.payment(merchantAccountCode="OtherBrandPOS"), shop.payment())
        assert (shop.wallet(), sorted(shop.jobs())) == (EUR, [OTHER, DONE])

    def test_the_mode_around_the_items_takes_an_event_away_and_not_for_good(self, shop: Shop) -> None:
        """Nobody signs it: whoever has seen an item could send it again as a test. It still counts when it comes."""
        item = shop.payment()
        shop.adyen(item, live="false")
        shop.adyen(item)
        assert (shop.wallet(), shop.jobs()) == (EUR, [OTHER, DONE])

    @pytest.mark.parametrize("told", [{"adyen": {}}])
    def test_without_merchant_accounts_all_are_ours(self, shop: Shop) -> None:
        shop.adyen(shop.payment(merchantAccountCode="OtherBrandPOS"))
        assert shop.wallet() == EUR


class TestUnsignedReports:
    def report(self, shop: Shop) -> dict[str, Any]:
        return shop.payment("REPORT_AVAILABLE", merchantReference="", reason="https://reports.example/7.csv")

    def test_get_their_answer_and_leave_no_trace_but_a_count(self, shop: Shop) -> None:
        for _ in range(3):
            answer = shop.adyen(self.report(shop), sign=False)
            assert (answer.status_code, answer.json()) == (202, {"received": 0, "duplicate": False})
        assert (shop.jobs(), shop.bodies()) == ([], [])
        metrics = shop.client.get("/metrics").text
        assert 'ledgerbeat_webhook_unsigned_total{provider="adyen",tenant="acme"} 3.0' in metrics

    def test_a_tenant_that_does_not_exist_answers_the_same(self, shop: Shop) -> None:
        body = {"live": "true", "notificationItems": [{"NotificationRequestItem": self.report(shop)}]}
        answers = [
            shop.client.post(f"/v1/webhooks/{tenant}/adyen", json=body) for tenant in ("acme", "nobody")
        ]
        acme, nobody = ((one.status_code, one.content) for one in answers)
        assert acme == nobody
        assert 'tenant="nobody"' not in shop.client.get("/metrics").text

    def test_beside_a_signed_payment_they_stand_in_nobodys_way(self, shop: Shop) -> None:
        answer = shop.adyen(self.report(shop), adyen_signed(shop.payment()), sign=False)
        assert (answer.status_code, answer.json()["received"]) == (202, 1)
        assert (shop.wallet(), shop.jobs()) == (EUR, [DONE])

    def test_an_unsigned_payment_is_refused_whatever_stands_beside_it(self, shop: Shop) -> None:
        for items in ([shop.payment()], [self.report(shop), shop.payment()]):
            answer = shop.adyen(*items, sign=False)
            assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
        assert (shop.wallet(), shop.jobs(), shop.bodies()) == (0, [], [])


class TestThinEvents:
    def thin(self, type_: str) -> dict[str, Any]:
        related = {"id": "ch_1", "type": "charge", "url": "/v1/charges/ch_1"}
        return {"id": f"evt_{type_}", "object": "v2.core.event", "type": type_, "created": "2026-11-30T09:00:00.000Z",
                "livemode": True, "related_object": related}  # fmt: skip

    def test_say_which_destination_to_choose(self, shop: Shop) -> None:
        for type_ in ("v1.charge.succeeded", "v1.charge.refunded", "v1.payout.paid"):
            assert shop.stripe(self.thin(type_)).status_code == 202
        assert shop.jobs() == [("dead", "thin_event")] * 3
        assert all("payload style 'snapshot'" in cause for cause in shop.causes())
        shop.stripe(shop.charge())
        assert shop.wallet() == EUR

    def test_that_move_no_money_are_done_and_others_wait_for_a_person(self, shop: Shop) -> None:
        for type_ in ("v2.core.account.created", "v2.money_management.outbound_payment.posted"):
            shop.stripe(self.thin(type_))
        assert [state for state, _ in shop.jobs()] == ["done", "parked"]
        assert shop.jobs()[1] == ("parked", "unknown_event_type")


class TestText:
    @pytest.mark.parametrize(
        "unread",
        [
            r'"Birthday \ud83d"', r'"a\u0000b"', r'{"\ud83d": "\u0000"}', "1e400", "9" * 400, "9" * 4_500,
            '{"k": 1, "k": 2}', "[" * 200 + "]" * 200,
        ],
    )  # fmt: skip
    def test_what_we_do_not_read_is_no_reason_to_refuse(self, shop: Shop, unread: str) -> None:
        body = self.body(shop, f'"description": {unread}, ')
        assert shop.stripe(body).status_code == 202
        assert (shop.wallet(), shop.jobs(), shop.bodies()) == (EUR, [DONE], [body])

    @pytest.mark.parametrize(
        "read",
        [
            '"amount_captured": 1, ', '"currency": "usd", ', '"metadata": {"reference": "order-2"}, ',
            '"captured": false, ',
            '"id": "ch_1", ', '"object": "charge", ', '"metadata": null, ',
        ],
    )  # fmt: skip
    def test_of_two_values_of_what_we_read_none_is_chosen(self, shop: Shop, read: str) -> None:
        body = self.body(shop, read)
        assert shop.stripe(body).status_code == 202
        assert (shop.wallet(), shop.jobs(), shop.bodies()) == (0, [("dead", "malformed_event")], [body])
        assert "stands twice" in shop.causes()[0]

    @pytest.mark.parametrize(
        "changes",
        [{"metadata": {"reference": "order-1\ud83d"}}, {"metadata": {"reference": "order\0-1"}}, {"id": "ch\ud83d"},
         {"currency": "eu\0"}, {"amount_captured": 1e400}, {"amount_captured": 10**400}],
    )  # fmt: skip
    def test_what_we_read_and_cannot_is_dead_with_its_body_kept(
        self, shop: Shop, changes: dict[str, Any]
    ) -> None:
        event = shop.charge(**changes)
        answer = (
            shop.stripe(event)
            if changes.get("amount_captured") != float("inf")
            else shop.stripe(infinite(event))
        )
        assert answer.status_code == 202
        assert (shop.wallet(), shop.jobs()) == (0, [("dead", "malformed_event")])
        assert len(shop.bodies()) == 1

    def test_nor_is_one_of_two_modes(self, shop: Shop) -> None:
        body = self.body(shop, "").replace(b'"livemode": true', b'"livemode": false, "livemode": true')
        assert shop.stripe(body).status_code == 202
        assert (shop.wallet(), shop.jobs()) == (0, [("dead", "malformed_event")])

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"id": NaN}', b"\xff", b'{"a": 1,}'])
    def test_what_is_no_json_object_is_refused(self, shop: Shop, body: bytes) -> None:
        answer = shop.stripe(body)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_json")
        assert shop.bodies() == []

    def test_adyens_items_too(self, shop: Shop) -> None:
        """Signed over its fields, so whatever else stands in the item is read with it."""
        shop.adyen(shop.payment(reason="cut \ud83d", paymentMethod="\0", shopperName={"a": 10**400}))
        assert (shop.wallet(), shop.jobs()) == (EUR, [DONE])

    @pytest.mark.parametrize("reference", ["order-1\ud83d", "order\0-1"])
    def test_a_signed_reference_that_cannot_be_stored_is_dead(self, shop: Shop, reference: str) -> None:
        assert shop.adyen(shop.payment(merchantReference=reference)).status_code == 202
        assert (shop.wallet(), shop.jobs()) == (0, [("dead", "malformed_event")])

    def body(self, shop: Shop, members: str) -> bytes:
        """A charge's event with these members before those of the charge."""
        text = json.dumps(shop.charge())
        return text.replace('"data": {"object": {', '"data": {"object": {' + members).encode()


def infinite(event: dict[str, Any]) -> bytes:
    return json.dumps(event).replace("Infinity", "1e400").encode()
