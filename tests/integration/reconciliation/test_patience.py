"""What is expected for long is found in the end: the look-back reaches as far as the tenant's patience."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from models.tenants import update_policy
from tests.integration.reconciliation.books import NIGHT, NOON, Books


@pytest.mark.parametrize("grace_days", [1, 3, 7])
@pytest.mark.parametrize("hour", [0, 2, 20])
def test_what_never_comes_is_a_finding_however_long_the_grace(
    books: Books, grace_days: int, hour: int
) -> None:
    with books.transaction() as session:
        update_policy(session, books.tenant, {"reconcile_grace_seconds": grace_days * 86_400})
    books.moved("never-told", 500, at=NOON.replace(hour=hour))
    found = [_run(books, days) for days in range(grace_days + 3)]
    assert {"missing_at_provider": 1} in found
    assert found[0] == {}


def _run(books: Books, days: int) -> dict[str, int]:
    night = NIGHT + timedelta(days=days)
    now = datetime(night.year, night.month, night.day, 23, 30, tzinfo=UTC)
    return dict(replace(books, now=now).run(night=night).findings)
