"""The signature schemes: published vectors, the vendors' own signers, and everything that must be refused."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from tests.unit.providers.shapes import (
    ADYEN_SECRET,
    NOW,
    SANDBOX_SECRET,
    STRIPE_SECRET,
    UNIX_NOW,
    adyen_item,
    adyen_modification,
    adyen_payload_headers,
    adyen_signed,
    sandbox_body,
    sandbox_headers,
    stripe_body,
    stripe_headers,
)
from worker.providers import signatures
from worker.providers.port import BadSignature, StaleSignature, WebhookRefused

OTHER_SANDBOX_SECRET = "whsec_bGVkZ2VyYmVhdC1zYW5kYm94LXNlY3JldC0wMg=="
OTHER_STRIPE_SECRET = "whsec_another"
OTHER_ADYEN_SECRET = "00" * 32
BODY = sandbox_body()
UNUSABLE = ["", "   ", "whsec_", "whsec_not base64!", "\ud800", "ü", "A"]


class TestPublishedVectors:
    def test_standard_webhooks(self) -> None:
        headers = {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        }
        secret, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b'{"test": 2432232314}'
        now = datetime.fromtimestamp(1614265330, UTC)
        assert signatures.verify_standard_webhook([secret], headers, body, now) == 0
        assert signatures.sign_standard_webhook(secret, headers["webhook-id"], 1614265330, body) == headers

    def test_stripe(self) -> None:
        digest = "22f7d74836ddad3284a2b80853dd2fe731655c1bfddcff3c3666a500cf3abd80"
        headers = {"Stripe-Signature": f"t=1492774577,v1={digest}"}
        now = datetime.fromtimestamp(1492774577, UTC)
        assert signatures.verify_stripe(["whsec_test_secret"], headers, b'{"id":"evt_test"}', now) == 0

    def test_adyen_notification_item(self) -> None:
        key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
        item = {
            "pspReference": "7914073381342284",
            "originalReference": None,
            "merchantAccountCode": "TestMerchant",
            "merchantReference": "TestPayment-1407325143704",
            "amount": {"value": 1130, "currency": "EUR"},
            "eventCode": "AUTHORISATION",
            "success": "true",
            "additionalData": {"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
        }
        assert signatures.verify_adyen_items([key], [item]) == 0


class TestStandardWebhooks:
    def verify(
        self, headers: Mapping[str, str], *secrets: str, now: datetime = NOW, body: bytes = BODY
    ) -> int:
        return signatures.verify_standard_webhook(secrets or (SANDBOX_SECRET,), headers, body, now)

    def test_what_the_published_library_signs_is_accepted(self) -> None:
        assert self.verify(sandbox_headers(BODY)) == 0

    def test_what_we_sign_the_published_library_accepts(self) -> None:
        now = datetime.now(UTC)
        headers = signatures.sign_standard_webhook(SANDBOX_SECRET, "msg_1", int(now.timestamp()), BODY)
        assert Webhook(SANDBOX_SECRET).verify(BODY, headers)["id"] == "evt_sandbox_0001"

    @pytest.mark.parametrize("seconds", [-299, -300, 0, 299, 300])
    def test_within_the_tolerance_is_fresh(self, seconds: int) -> None:
        assert self.verify(sandbox_headers(BODY, at=NOW + timedelta(seconds=seconds))) == 0

    @pytest.mark.parametrize("seconds", [-301, 301, 365 * 86_400])
    def test_beyond_the_tolerance_is_stale_both_ways(self, seconds: int) -> None:
        with pytest.raises(StaleSignature):
            self.verify(sandbox_headers(BODY, at=NOW + timedelta(seconds=seconds)))

    def test_a_stale_forgery_is_a_forgery(self) -> None:
        headers = sandbox_headers(BODY, secret=OTHER_SANDBOX_SECRET, at=NOW - timedelta(days=1))
        with pytest.raises(BadSignature):
            self.verify(headers)

    def test_each_of_two_secrets_is_accepted_and_named(self) -> None:
        old = sandbox_headers(BODY)
        new = sandbox_headers(BODY, secret=OTHER_SANDBOX_SECRET)
        assert self.verify(new, OTHER_SANDBOX_SECRET, SANDBOX_SECRET) == 0
        assert self.verify(old, OTHER_SANDBOX_SECRET, SANDBOX_SECRET) == 1

    def test_one_good_signature_among_several_is_enough(self) -> None:
        secrets = [OTHER_SANDBOX_SECRET, SANDBOX_SECRET]
        headers = signatures.sign_standard_webhook(secrets, "msg_1", UNIX_NOW, BODY)
        assert headers["webhook-signature"].count("v1,") == 2
        assert self.verify(headers) == 0

    def test_other_versions_are_passed_over(self) -> None:
        headers = sandbox_headers(BODY)
        known = headers["Webhook-Signature"]
        assert self.verify(headers | {"Webhook-Signature": f"v1a,AAAA v2,BBBB {known}"}) == 0
        with pytest.raises(BadSignature):
            self.verify(headers | {"Webhook-Signature": known.replace("v1,", "v1a,")})

    def test_a_secret_may_stand_without_prefix_and_padding(self) -> None:
        bare = SANDBOX_SECRET.removeprefix("whsec_").rstrip("=")
        assert self.verify(sandbox_headers(BODY), bare) == 0

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("Webhook-Signature", "{sent} nocomma"),
            ("Webhook-Signature", "nocomma"),
            ("Webhook-Signature", "{sent}, {sent}"),
            ("Webhook-Signature", "{sent},{sent}"),
            ("Webhook-Signature", " {sent}"),
            ("Webhook-Signature", "{sent}  "),
            ("Webhook-Signature", "v1,"),
            ("Webhook-Signature", ""),
            ("Webhook-Signature", "v1,ü"),
            ("Webhook-Signature", "v1,\ud800"),
            ("Webhook-Signature", "v1,AAAA " * 16 + "{sent}"),
            ("Webhook-Signature", "v1," + "A" * 5_000),
            ("Webhook-Timestamp", "{sent}.0"),
            ("Webhook-Timestamp", "+{sent}"),
            ("Webhook-Timestamp", " {sent}"),
            ("Webhook-Timestamp", "{sent}, {sent}"),
            ("Webhook-Timestamp", "now"),
            ("Webhook-Timestamp", "\ud800"),
            ("Webhook-Timestamp", "\u0661"),
            ("Webhook-Timestamp", "1" * 400),
            ("Webhook-Id", "evt_other"),
            ("Webhook-Id", "{sent}, {sent}"),
            ("Webhook-Id", "evt.1"),
            ("Webhook-Id", ""),
            ("Webhook-Id", "x" * 201),
        ],
    )
    def test_a_header_that_is_not_exactly_so_is_refused(self, name: str, value: str) -> None:
        headers = sandbox_headers(BODY)
        with pytest.raises(BadSignature):
            self.verify(headers | {name: value.replace("{sent}", headers[name])})

    @pytest.mark.parametrize("value", ["\u0661\u0662", "1e9", "1_000", "0x10", "-1", "nan", "", "1" * 13])
    def test_a_signed_timestamp_that_is_no_number_is_refused(self, value: str) -> None:
        digest = hmac.digest(
            base64.b64decode(SANDBOX_SECRET[6:]), f"evt_1.{value}.".encode() + BODY, hashlib.sha256
        )
        headers = {
            "webhook-id": "evt_1",
            "webhook-timestamp": value,
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
        with pytest.raises(BadSignature):
            self.verify(headers)

    @pytest.mark.parametrize("name", ["Webhook-Id", "Webhook-Timestamp", "Webhook-Signature"])
    def test_a_missing_or_repeated_header_is_refused(self, name: str) -> None:
        headers = sandbox_headers(BODY)
        with pytest.raises(BadSignature, match="repeated"):
            self.verify(headers | {name.lower(): headers[name]})
        headers.pop(name)
        with pytest.raises(BadSignature, match="missing"):
            self.verify(headers)

    def test_another_body_or_secret_is_refused(self) -> None:
        with pytest.raises(BadSignature):
            self.verify(sandbox_headers(BODY), body=BODY + b" ")
        with pytest.raises(BadSignature):
            self.verify(sandbox_headers(BODY), OTHER_SANDBOX_SECRET)
        with pytest.raises(BadSignature):
            signatures.verify_standard_webhook([], sandbox_headers(BODY), BODY, NOW)

    def test_a_border_between_id_and_timestamp_cannot_be_moved(self) -> None:
        body = f"{UNIX_NOW}.{{}}".encode()
        headers = signatures.sign_standard_webhook(SANDBOX_SECRET, "evt_1", 1_000_000_000, body)
        moved = headers | {"webhook-id": "evt_1.1000000000", "webhook-timestamp": str(UNIX_NOW)}
        with pytest.raises(BadSignature):
            self.verify(moved, body=b"{}")

    def test_a_binary_body_is_verified_as_it_is(self) -> None:
        body = b"\xff\x00\xfe"
        headers = signatures.sign_standard_webhook(SANDBOX_SECRET, "evt_1", UNIX_NOW, body)
        assert self.verify(headers, body=body) == 0

    @pytest.mark.parametrize("secret", UNUSABLE)
    def test_an_unusable_secret_matches_nothing_and_signs_nothing(self, secret: str) -> None:
        for key in (b"", b"unusable"):
            digest = base64.b64encode(hmac.digest(key, f"e.{UNIX_NOW}.".encode() + BODY, "sha256")).decode()
            headers = {
                "webhook-id": "e",
                "webhook-timestamp": str(UNIX_NOW),
                "webhook-signature": f"v1,{digest}",
            }
            with pytest.raises(BadSignature):
                self.verify(headers, secret)
        assert self.verify(sandbox_headers(BODY), secret, SANDBOX_SECRET) == 1
        with pytest.raises(ValueError, match="secret"):
            signatures.sign_standard_webhook([SANDBOX_SECRET, secret], "msg_1", UNIX_NOW, BODY)

    def test_no_secret_and_no_proper_id_sign_nothing(self) -> None:
        with pytest.raises(ValueError, match="secret"):
            signatures.sign_standard_webhook([], "msg_1", UNIX_NOW, BODY)
        with pytest.raises(ValueError, match="full stop"):
            signatures.sign_standard_webhook(SANDBOX_SECRET, "msg.1", UNIX_NOW, BODY)


class TestStripe:
    body = stripe_body("charge.succeeded")

    def verify(self, header: str, *secrets: str, body: bytes | None = None) -> int:
        headers = {"STRIPE-SIGNATURE": header}
        return signatures.verify_stripe(
            secrets or (STRIPE_SECRET,), headers, self.body if body is None else body, NOW
        )

    def header(self, at: int = UNIX_NOW, secret: str = STRIPE_SECRET) -> str:
        return stripe_headers(self.body, secret=secret, at=at)["Stripe-Signature"]

    @pytest.mark.parametrize("seconds", [-299, -300, 0, 299, 300])
    def test_what_stripes_library_signs_is_accepted(self, seconds: int) -> None:
        assert self.verify(self.header(UNIX_NOW + seconds)) == 0

    @pytest.mark.parametrize("seconds", [-301, 301, 365 * 86_400])
    def test_beyond_the_tolerance_is_stale_both_ways(self, seconds: int) -> None:
        with pytest.raises(StaleSignature):
            self.verify(self.header(UNIX_NOW + seconds))

    def test_a_stale_forgery_is_a_forgery(self) -> None:
        with pytest.raises(BadSignature):
            self.verify(self.header(UNIX_NOW - 86_400, OTHER_STRIPE_SECRET))

    def test_the_second_of_two_signatures_is_enough(self) -> None:
        good = self.header()
        assert self.verify(good.replace(",v1=", f",v1={'0' * 64},v1=")) == 0
        assert self.verify(f"{good},v0={'0' * 64},v9=anything") == 0

    def test_each_of_two_secrets_is_accepted_and_named(self) -> None:
        assert self.verify(self.header(), STRIPE_SECRET, OTHER_STRIPE_SECRET) == 0
        assert self.verify(self.header(), OTHER_STRIPE_SECRET, STRIPE_SECRET) == 1

    @pytest.mark.parametrize(
        "template",
        [
            "",
            "{t}",
            "{v1}",
            "{t},{t},{v1}",
            "{t},{v1},t=1",
            "{t},{v1}, {t},{v1}",
            "{t},{v1},nothing",
            "t=,{v1}",
            "t=now,{v1}",
            "{t}.5,{v1}",
            "{t},v0{v1}",
            "{t},v1=",
            "{t},v1=ü",
            "{t},v1=\ud800",
            "t=\ud800,{v1}",
            "{t};{v1}",
            "{t}," + "v1=00," * 16 + "{v1}",
        ],
    )
    def test_a_header_that_is_not_exactly_so_is_refused(self, template: str) -> None:
        t, v1 = self.header().split(",")
        with pytest.raises(BadSignature):
            self.verify(template.replace("{t}", t).replace("{v1}", v1))

    def test_upper_case_is_not_the_signature(self) -> None:
        t, v1 = self.header().split(",")
        with pytest.raises(BadSignature):
            self.verify(f"{t},v1={v1[3:].upper()}")

    def test_another_body_secret_or_no_secret_is_refused(self) -> None:
        with pytest.raises(BadSignature):
            self.verify(self.header(), body=self.body + b"\n")
        with pytest.raises(BadSignature):
            self.verify(self.header(), OTHER_STRIPE_SECRET)
        with pytest.raises(BadSignature):
            signatures.verify_stripe([], {"stripe-signature": self.header()}, self.body, NOW)
        with pytest.raises(BadSignature):
            signatures.verify_stripe([STRIPE_SECRET], {}, self.body, NOW)

    def test_a_body_that_is_not_utf8_is_verified_as_it_is(self) -> None:
        body = b"\xff\xfe"
        digest = hmac.digest(STRIPE_SECRET.encode(), f"{UNIX_NOW}.".encode() + body, "sha256").hex()
        assert self.verify(f"t={UNIX_NOW},v1={digest}", body=body) == 0

    @pytest.mark.parametrize("secret", ["", "  \t", "\ud800"])
    def test_an_unusable_secret_matches_nothing(self, secret: str) -> None:
        for key in (b"", b"unusable", secret.encode("utf-8", "replace")):
            digest = hmac.digest(key, f"{UNIX_NOW}.".encode() + self.body, "sha256").hex()
            with pytest.raises(BadSignature):
                self.verify(f"t={UNIX_NOW},v1={digest}", secret)


class TestAdyenItems:
    def verify(self, *items: dict[str, Any], secrets: tuple[str, ...] = (ADYEN_SECRET,)) -> int:
        return signatures.verify_adyen_items(secrets, items)

    def test_what_adyens_library_signs_is_accepted(self) -> None:
        assert self.verify(adyen_signed(adyen_item())) == 0
        assert self.verify(adyen_signed(adyen_modification("REFUND"))) == 0

    def test_one_genuine_and_one_forged_item_are_refused_in_any_order(self) -> None:
        genuine = adyen_signed(adyen_item())
        forged = genuine | {"amount": {"currency": "EUR", "value": 2_500_000}}
        for items in ((genuine, forged), (forged, genuine)):
            with pytest.raises(BadSignature):
                self.verify(*items)

    def test_every_item_may_be_signed_by_another_live_secret(self) -> None:
        new, old = adyen_signed(adyen_item(), OTHER_ADYEN_SECRET), adyen_signed(adyen_item("CAPTURE"))
        secrets = (OTHER_ADYEN_SECRET, ADYEN_SECRET)
        assert self.verify(new, secrets=secrets) == 0
        assert self.verify(new, old, secrets=secrets) == 1

    def test_a_boolean_success_and_a_null_reference_are_read_as_they_were_signed(self) -> None:
        signed = adyen_signed(adyen_item())
        assert self.verify(signed | {"success": True, "originalReference": None}) == 0
        refused = adyen_signed(adyen_item(success="false"))
        assert self.verify(refused | {"success": False}) == 0

    @pytest.mark.parametrize(
        "change",
        [
            {"pspReference": "LBPAYMENT0000002"},
            {"originalReference": "LBPAYMENT0000000"},
            {"merchantAccountCode": "SomeoneElse"},
            {"merchantReference": "dep-1002"},
            {"amount": {"currency": "EUR", "value": 2501}},
            {"amount": {"currency": "USD", "value": 2500}},
            {"amount": {"currency": "EUR", "value": 2500.0}},
            {"amount": None},
            {"amount": [2500, "EUR"]},
            {"eventCode": "CAPTURE"},
            {"success": "false"},
            {"success": "True"},
            {"success": ["true"]},
            {"pspReference": {"a": 1}},
            {"additionalData": None},
            {"additionalData": {}},
            {"additionalData": []},
            {"additionalData": {"hmacSignature": ""}},
            {"additionalData": {"hmacSignature": None}},
            {"additionalData": {"hmacSignature": "ü" * 44}},
            {"additionalData": {"hmacSignature": "\ud800" * 44}},
            {"additionalData": {"hmacSignature": 1}},
            {"merchantReference": "\ud800"},
        ],
    )
    def test_whatever_is_signed_cannot_be_changed(self, change: dict[str, Any]) -> None:
        with pytest.raises(BadSignature):
            self.verify(adyen_signed(adyen_item()) | change)

    def test_a_border_between_fields_cannot_be_moved(self) -> None:
        signed = adyen_signed(adyen_item(merchantReference="dep:1001"))
        assert self.verify(signed) == 0
        moved = {"merchantAccountCode": "LedgerbeatMerchant:dep", "merchantReference": "1001"}
        with pytest.raises(BadSignature, match="colon"):
            self.verify(signed | moved)

    def test_no_item_and_no_secret_prove_nothing(self) -> None:
        with pytest.raises(BadSignature):
            self.verify()
        with pytest.raises(BadSignature):
            self.verify(adyen_signed(adyen_item()), secrets=())

    @pytest.mark.parametrize("secret", ["", "ABC", "not hex", "\ud800", "ü", "whsec_00"])
    def test_an_unusable_secret_matches_nothing(self, secret: str) -> None:
        for key in ("", b"unusable".hex()):
            with pytest.raises(BadSignature):
                self.verify(adyen_signed(adyen_item(), key), secrets=(secret,))
        assert self.verify(adyen_signed(adyen_item()), secrets=(secret, ADYEN_SECRET)) == 1


class TestAdyenPayload:
    body = b'{"type":"balancePlatform.transfer.created"}'

    def test_what_adyens_library_signs_is_accepted(self) -> None:
        headers = adyen_payload_headers(self.body)
        assert signatures.verify_adyen_payload([OTHER_ADYEN_SECRET, ADYEN_SECRET], headers, self.body) == 1

    @pytest.mark.parametrize("value", ["", "ü" * 44, "{sent}, {sent}", "{sent} ", "A" * 43 + "=", "{sent}="])
    def test_any_other_header_is_refused(self, value: str) -> None:
        sent = adyen_payload_headers(self.body)["HmacSignature"]
        headers = {"hmacsignature": value.replace("{sent}", sent)}
        with pytest.raises(BadSignature):
            signatures.verify_adyen_payload([ADYEN_SECRET], headers, self.body)

    def test_another_body_is_refused(self) -> None:
        headers = adyen_payload_headers(self.body)
        with pytest.raises(BadSignature):
            signatures.verify_adyen_payload([ADYEN_SECRET], headers, self.body + b" ")


NAMES = st.sampled_from(
    [
        "webhook-id",
        "Webhook-Id",
        "webhook-timestamp",
        "webhook-signature",
        "Stripe-Signature",
        "hmacsignature",
    ]
)
VALUES = st.one_of(
    st.text(),
    st.text(alphabet=st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010)),
    st.sampled_from(["1795166400", "v1,AAAA", "t=1795166400,v1=00", "t=9999999999999999999,v1=", "evt_1"]),
)
HEADERS = st.dictionaries(NAMES | st.text(), VALUES, max_size=6)
SECRETS = st.lists(st.sampled_from([SANDBOX_SECRET, ADYEN_SECRET, *UNUSABLE]) | st.text(), max_size=3)
JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
ITEM_FIELDS = st.sampled_from(
    ["pspReference", "originalReference", "merchantAccountCode", "merchantReference", "amount", "success"]
)
ITEMS = st.lists(
    st.dictionaries(ITEM_FIELDS, JSONISH).map(
        lambda item: item | {"additionalData": {"hmacSignature": "A" * 43 + "="}}
    ),
    max_size=3,
)


@settings(deadline=None)
@given(SECRETS, HEADERS, st.binary())
def test_no_input_does_more_than_be_refused(secrets: list[str], headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(WebhookRefused):
        signatures.verify_standard_webhook(secrets, headers, body, NOW)
    with pytest.raises(WebhookRefused):
        signatures.verify_stripe(secrets, headers, body, NOW)
    with pytest.raises(WebhookRefused):
        signatures.verify_adyen_payload(secrets, headers, body)


@settings(deadline=None)
@given(SECRETS, ITEMS)
def test_no_notification_item_does_more_than_be_refused(
    secrets: list[str], items: list[dict[str, Any]]
) -> None:
    with pytest.raises(WebhookRefused):
        signatures.verify_adyen_items(secrets, items)


@settings(deadline=None)
@given(st.binary(), st.text(alphabet="abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1, max_size=40))
def test_whatever_we_sign_we_accept(body: bytes, webhook_id: str) -> None:
    headers = signatures.sign_standard_webhook(SANDBOX_SECRET, webhook_id, UNIX_NOW, body)
    assert signatures.verify_standard_webhook([SANDBOX_SECRET], headers, body, NOW) == 0
