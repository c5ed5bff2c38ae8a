"""Neither a key nor a destination shows in what is logged, printed, raised or shown."""

import io
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

import pytest
from stripe import _util as stripe_util

from tests.integration.providers.accounts import account, order
from tests.integration.providers.replaying import Replaying, Reply
from worker.providers.payouts import registry

NOW = datetime(2026, 11, 2, tzinfo=UTC)
API_KEY = "sk_live_TopSecret0123456789"
DESTINATIONS = {"sandbox": "bank-Private", "stripe": "acct_Private/ba_Private", "adyen": "SEPrivate"}
SECRET_WORDS = ("TopSecret", "Private")
NOISY = (
    '{"error": {"type": "api_error", "message": "no such ba_Private"}, "errorCode": "Key sk_live_TopSecret"}'
)


@pytest.fixture
def everything_logged() -> Iterator[io.StringIO]:
    """All loggers at debug."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("adapter", ["sandbox", "stripe", "adyen"])
@pytest.mark.parametrize("status", [200, 201, 400, 401, 402, 403, 404, 409, 422, 429, 500, 503])
def test_nothing_secret_shows(
    server: Replaying,
    adapter: Literal["sandbox", "stripe", "adyen"],
    status: int,
    everything_logged: io.StringIO,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stripe_util, "STRIPE_LOG", "debug")  # as with STRIPE_LOG=debug in the environment
    server.says(Reply(status, raw=NOISY.encode()))
    settings = account(adapter, server.url, API_KEY, source_account="BA1")
    provider = registry.build(settings)
    instruction = order(destination=DESTINATIONS[adapter])
    answer = provider.send(instruction)
    sighting = provider.look_up("7f3a-1", since=NOW, destination=instruction.destination)
    printed = capsys.readouterr()
    shown = [everything_logged.getvalue(), printed.out, printed.err]
    shown += [repr(one) for one in (answer, sighting, provider, instruction, settings)]
    assert not [word for word in SECRET_WORDS for text in shown if word in text]


def test_a_failed_call_keeps_no_chain_of_causes(server: Replaying) -> None:
    server.says(Reply(breaks="reset"))
    registry.build(account("stripe", server.url, API_KEY)).send(order(destination=DESTINATIONS["stripe"]))
    assert sys.exc_info() == (None, None, None)
