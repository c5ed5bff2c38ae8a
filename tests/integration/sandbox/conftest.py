from collections.abc import Iterator

import pytest

from ops.sandbox.config import SandboxConfig
from tests.integration.sandbox.running import API_KEY, SECRET, Receiver, Sandbox, running_sandbox


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def config(receiver: Receiver) -> SandboxConfig:
    """Payouts settle by hand; retries and hung calls are quick."""
    return SandboxConfig(
        api_key=API_KEY,
        webhook_url=receiver.url,
        webhook_secret=SECRET,
        settle_seconds=None,
        hang_seconds=1.0,
        retry_seconds=(0.01, 0.02, 0.03, 0.04),
    )


@pytest.fixture
def sandbox(config: SandboxConfig) -> Iterator[Sandbox]:
    with running_sandbox(config) as client:
        yield client
