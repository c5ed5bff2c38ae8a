"""Card numbers and IBANs by the doors that store before they validate: never in `jobs`, and one request is one job."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tasks.intake.door import NotAccepted
from tests.integration.payouts.cashier import Cashier
from tests.integration.payouts.test_doors import by_celery, by_sql
from tests.unit.catalogue.test_payouts import CARDS, IBANS
from worker.catalogue.numbers import is_account_number, is_card_number
from worker.catalogue.redaction import REDACTED, redact
from worker.database import Transaction

REDACT = text("SELECT redact_payout(:name, CAST(:args AS jsonb))")
KNOWN = text("SELECT is_card_number(t), is_account_number(t) FROM unnest(CAST(:texts AS text[])) AS t")
DOORS = [by_sql, by_celery]
NUMBERS = st.sampled_from((*CARDS, *IBANS))
PIECES = st.one_of(
    NUMBERS,
    NUMBERS.map(str.lower),
    st.tuples(NUMBERS, st.sampled_from(" -./_\u00a0")).map(
        lambda drawn: drawn[1].join(drawn[0][at : at + 4] for at in range(0, len(drawn[0]), 4))
    ),
    st.from_regex(r"[3-6][0-9]{12,18}", fullmatch=True),
    st.text("0123456789", min_size=11, max_size=20),
    st.text("ABDE019 -:_.~é\n", max_size=12),
)
SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.lists(PIECES, max_size=3).map("".join))
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3)
)


@settings(max_examples=300, suppress_health_check=SUPPRESSED, deadline=None)
@given(
    name=st.sampled_from(["payouts.request", "payout", "wallets.credit"]),
    args=st.dictionaries(st.sampled_from(["destination", "owner", "iban", "reason"]), VALUES),
)
def test_both_doors_keep_the_same(transaction: Transaction, name: str, args: dict[str, Any]) -> None:
    with transaction() as session:
        kept = session.execute(REDACT, {"name": name, "args": json.dumps(args)}).scalar_one()
    assert kept == redact(name, args)


@settings(max_examples=30, suppress_health_check=SUPPRESSED, deadline=None)
@given(st.lists(PIECES | st.tuples(PIECES, PIECES).map(":".join), min_size=100, max_size=200))
def test_the_database_knows_a_number_as_the_code_does(transaction: Transaction, texts: list[str]) -> None:
    with transaction() as session:
        rows = session.execute(KNOWN, {"texts": texts}).all()
    assert [tuple(row) for row in rows] == [(is_card_number(one), is_account_number(one)) for one in texts]


@pytest.mark.parametrize("separator", ["", *"-._/"])
@pytest.mark.parametrize("number", [*CARDS, *IBANS])
def test_the_database_knows_every_network_and_form(
    transaction: Transaction, number: str, separator: str
) -> None:
    written = separator.join(number[at : at + 4] for at in range(0, len(number), 4))
    with transaction() as session:
        [row] = session.execute(KNOWN, {"texts": [written]})
    assert tuple(row) == (is_card_number(written), is_account_number(written))
    assert any(row)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("number", [CARDS[0], IBANS[0], "DE89 3704 0044 0532 0130 00", {"iban": IBANS[0]}])
def test_the_number_is_nowhere_and_its_job_is_dead(
    cashier: Cashier, owner_transaction: Transaction, door: Any, number: Any
) -> None:
    job_id = door(cashier, owner_transaction, "payouts.request", cashier.asking(destination=number))
    cashier.drain()
    assert cashier.outcome(job_id)["code"] == "invalid_arguments"
    [row] = cashier.rows(
        "SELECT j.*, j.args ->> 'destination' AS destination FROM jobs j WHERE id = :id", id=job_id
    )
    assert row["destination"] == REDACTED
    for part in ("4111", "DE89"):
        assert part not in str({**row, "id": "", "fingerprint": ""})


@pytest.mark.parametrize("first", DOORS)
@pytest.mark.parametrize("again", DOORS)
def test_the_same_request_again_is_the_same_job_and_a_mended_one_is_not(
    cashier: Cashier, owner_transaction: Transaction, first: Any, again: Any
) -> None:
    asked = cashier.asking(destination=IBANS[0])
    job_id = first(cashier, owner_transaction, "payouts.request", asked)
    assert again(cashier, owner_transaction, "payouts.request", asked) == job_id
    with pytest.raises((NotAccepted, DBAPIError), match="idempotency_key_reused"):
        again(cashier, owner_transaction, "payouts.request", cashier.asking())


def test_a_megabyte_of_digits_is_read_in_passing(transaction: Transaction) -> None:
    for unit in ("a", "4", "4111-", "4111-1111-", "DE89", "DE89 "):
        args = {"destination": unit * (1_000_000 // len(unit))}
        with transaction() as session:
            session.execute(text("SET LOCAL statement_timeout = '5s'"))
            kept = session.execute(REDACT, {"name": "payouts.request", "args": json.dumps(args)}).scalar_one()
        assert kept == redact("payouts.request", args)
