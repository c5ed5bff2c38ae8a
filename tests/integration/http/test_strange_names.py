"""Names that are no job, as many as a caller likes: the metrics show one label for all of them."""

from datetime import datetime

import pytest
from sqlalchemy import Engine

from tests.factories import accept_jobs, job_request
from worker.database import Transaction
from worker.http.gauges import DatabaseGauges


@pytest.mark.usefixtures("tenant")
def test_names_that_are_no_job_share_one_label(
    transaction: Transaction, engine: Engine, now: datetime
) -> None:
    strange = [job_request(f"strange-{number}") for number in range(50)]
    accept_jobs(transaction, [*strange, job_request(), job_request("webhooks.event")], now=now)
    [jobs] = [family for family in DatabaseGauges(engine).families() if family.name == "ledgerbeat_jobs"]
    shown = {(sample.labels["name"], sample.labels["state"]): sample.value for sample in jobs.samples}
    assert shown == {
        ("unknown", "queued"): 50,
        ("wallets.credit", "queued"): 1,
        ("webhooks.event", "queued"): 1,
    }
