from collections.abc import Iterator

import pytest

from tests.integration.providers.replaying import Replaying


@pytest.fixture
def server() -> Iterator[Replaying]:
    """A real HTTP server on a free port that answers as the test says."""
    with Replaying() as running:
        yield running
