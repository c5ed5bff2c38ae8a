"""Generated files of an older wallet: few owners and ids, so that rows meet, conflict, and lack money."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import strategies as st

from models.tenants import sync_tenants
from tests.integration.backfills.runs import Desk, Line, line
from worker.database import Transaction

__all__ = ["Line", "Desks", "desks_of", "lines"]

Desks = Callable[[], AbstractContextManager[Desk]]
OWNERS = ("ada", "bob", "cy")


def lines(rows_max: int = 25, ids: int = 20) -> st.SearchStrategy[list[Line]]:
    row = st.builds(
        _line,
        st.integers(0, ids).map(str),
        st.sampled_from(OWNERS),
        st.integers(-40, 40),
        st.sampled_from(("", "", *OWNERS)),
        st.sampled_from(("EUR", "EUR", "USD", "XXX")),
    )
    return st.lists(row, max_size=rows_max)


def _line(row_id: str, owner: str, amount: int, to: str, currency: str) -> Line:
    return line(row_id, owner, amount, to, currency)


def desks_of(transaction: Transaction) -> Desks:
    """A desk with an empty ledger, as often as it is asked for: each for a tenant of its own."""
    numbers = iter(range(1_000_000))

    @contextmanager
    def desk() -> Iterator[Desk]:
        tenant = f"t{next(numbers)}"
        with transaction() as session:
            sync_tenants(session, {tenant: "UTC"})
        with TemporaryDirectory() as folder:
            yield Desk(transaction, Path(folder), tenant=tenant)

    return desk
