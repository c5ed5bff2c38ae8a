"""What a batch costs grows with the batch and not with its square, whatever the planner believes of its size."""

import re

import pytest
from sqlalchemy import TextClause, text

from models.ledger.facts import FIND_TRANSACTIONS, LOCK_ACCOUNTS, READ_ACCOUNTS
from tests.integration.ledger.postings import credit, posted
from worker.database import Transaction

pytestmark = pytest.mark.usefixtures("tenant")


@pytest.mark.parametrize(
    "statement", [LOCK_ACCOUNTS, READ_ACCOUNTS, FIND_TRANSACTIONS], ids=["lock", "read", "find"]
)
def test_a_kept_plan_compares_no_row_with_each_of_the_batch(
    transaction: Transaction, owner_transaction: Transaction, statement: TextClause
) -> None:
    posted(transaction, *(credit(f"owner-{number}", 1, f"k{number}") for number in range(2_000)))
    with owner_transaction() as session:
        session.execute(text("ANALYZE accounts, ledger_transactions"))
    plan = kept_plan(transaction, statement)
    assert "hashed SubPlan" in plan
    assert "Nested Loop" not in plan


def kept_plan(transaction: Transaction, statement: TextClause) -> str:
    """The plan that a connection keeps once it has run a statement a few times: made without its values."""
    names = list(dict.fromkeys(re.findall(r":(\w+)", statement.text.replace("::", ""))))
    query = re.sub(r":(\w+)", lambda found: f"${names.index(found[1]) + 1}", statement.text)
    values = ", ".join(["'{}'"] * len(names))
    with transaction() as session:
        session.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
        session.connection().exec_driver_sql(f"PREPARE kept AS {query}")
        rows = session.execute(text(f"EXPLAIN EXECUTE kept ({values})")).scalars()
        return "\n".join(rows)
