"""The Stripe adapter against localstripe, which knows payouts in EUR by id, and neither keys, transfers nor filters."""

from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.integration.providers.accounts import account, order
from tests.integration.providers.localstripe import running_localstripe
from worker.providers.payouts import registry
from worker.providers.payouts.port import Declined, Found, InDoubt, PayoutProvider, Stopped, Submitted, Unsure

NOW = datetime(2026, 11, 2, tzinfo=UTC)
KEY = "sk_test_0123456789"


@pytest.fixture(scope="module")
def localstripe(request: pytest.FixtureRequest) -> Iterator[str]:
    assert request.config.cache is not None
    with running_localstripe(request.config.cache.mkdir("localstripe")) as url:
        yield url


@pytest.fixture
def provider(localstripe: str) -> PayoutProvider:
    return registry.build(account("stripe", localstripe, KEY))


@pytest.mark.parametrize("destination", ["default", "ba_1", "acct_1/ba_1"])
def test_a_payout_is_submitted_and_found_by_its_id(provider: PayoutProvider, destination: str) -> None:
    answer = provider.send(order(destination=destination))
    assert isinstance(answer, Submitted)
    found = provider.look_up("7f3a-1", since=NOW, destination=destination, object_id=answer.object_id)
    assert found == Found(answer.object_id, "submitted", 1250, "EUR")


def test_what_it_wrote_down_is_what_we_sent(localstripe: str, provider: PayoutProvider) -> None:
    answer = provider.send(order(destination="default", reference="7f3a-9", amount_minor=99))
    assert isinstance(answer, Submitted)
    url = f"{localstripe}/v1/payouts/{answer.object_id}"
    kept = httpx.get(url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).json()
    assert (kept["amount"], kept["currency"], kept["metadata"]) == (99, "eur", {"reference": "7f3a-9"})


def test_a_canceled_payout_has_failed(localstripe: str, provider: PayoutProvider) -> None:
    answer = provider.send(order(destination="default"))
    assert isinstance(answer, Submitted)
    url = f"{localstripe}/v1/payouts/{answer.object_id}/cancel"
    assert httpx.post(url, headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).status_code == 200
    found = provider.look_up("7f3a-1", since=NOW, destination="default", object_id=answer.object_id)
    assert found == Found(answer.object_id, "failed", 1250, "EUR", "canceled")


def test_a_currency_it_does_not_know_is_declined_for_good(provider: PayoutProvider) -> None:
    answer = provider.send(order(destination="default", currency="USD"))
    assert answer == Declined("invalid_request_error", retryable=False)


def test_a_key_it_does_not_take_stops_the_account(localstripe: str) -> None:
    answer = registry.build(account("stripe", localstripe, "not-a-key")).send(order(destination="default"))
    assert answer == Stopped("invalid_request_error")


def test_a_path_it_does_not_have_is_in_doubt(provider: PayoutProvider) -> None:
    assert provider.send(order(destination="acct_1")) == InDoubt("http_404")  # it has no transfers


def test_a_look_up_that_it_refuses_proves_nothing(provider: PayoutProvider) -> None:
    asked = provider.look_up("7f3a-1", since=NOW, destination="default")
    assert asked == Unsure("invalid_request_error")  # it has no filter by time
    gone = provider.look_up("7f3a-1", since=NOW, destination="default", object_id="po_gone")
    assert isinstance(gone, Unsure)
