"""Two nights of one account at once: each judges days that the other judges, so one concludes after the other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

from models.reconciliation.matching import ALONE
from tests.integration.reconciliation.books import NIGHT, Books, record
from tests.integration.reconciliation.generating import Connection
from tests.waiting import until

WAITING = b"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def waiting(owner: Connection) -> bool:
    return owner.execute(WAITING).fetchone() == (1,)


def test_a_night_concludes_when_the_other_has(books: Books, owner: Connection) -> None:
    """Else each could wait for findings that the other holds; and another account waits for neither."""
    with ThreadPoolExecutor(1) as pool:
        with books.transaction() as other:
            other.execute(ALONE, {"tenant": books.tenant, "provider": books.provider})
            night = pool.submit(
                books.run, record("r", 500), night=NIGHT + timedelta(days=1), even_if_short=True
            )
            until(lambda: waiting(owner), what="a night that waits for the other")
            assert replace(books, provider="stripe").run(record("s", 1)).state == "done"
            assert [one["subject"] for one in books.findings()] == ["deposit:stripe:s"]
        assert night.result(60).state == "done"
