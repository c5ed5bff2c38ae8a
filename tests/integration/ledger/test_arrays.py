"""Array literals arrive as what they were made of."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from models.arrays import integers, texts
from models.money import BIGINT_MAX
from worker.database import Transaction

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
AWKWARD = st.sampled_from(
    ["", "NULL", "null", "{}", "a,b", '"', "\\", '\\"', "\\x00", "'", " ", "\n", "%s", ":a"]
)
READ = text("SELECT CAST(:texts AS text[]), CAST(:integers AS bigint[])")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.none() | AWKWARD | TEXTS), st.lists(st.integers(-BIGINT_MAX, BIGINT_MAX)))
def test_what_went_in_comes_out(
    transaction: Transaction, words: list[str | None], numbers: list[int]
) -> None:
    with transaction() as session:
        found = session.execute(READ, {"texts": texts(words), "integers": integers(numbers)}).one()
    assert list(found) == [words, numbers]
