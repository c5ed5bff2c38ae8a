"""What a payout job accepts: tokens and no account numbers, ids that are ids, and a reason for everything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InvalidArguments
from worker.catalogue import JOBS, PayoutCommand, parse
from worker.catalogue.describe import example
from worker.catalogue.numbers import IBAN_LENGTHS, is_account_number, is_card_number

COMMANDS = [name for name, schema in JOBS.items() if issubclass(schema, PayoutCommand)]


def pointers(name: str, **changes: Any) -> list[str]:
    with pytest.raises(InvalidArguments) as caught:
        parse(name, {**example(name), **changes})
    return [error["pointer"] for error in caught.value.errors]


# Published test numbers of the card networks, and the IBAN registry's own examples.
CARDS = ("4111111111111111", "5555555555554444", "2223003122003222", "378282246310005", "30569309025904",
         "6011111111111117", "3530111333300000", "6304000000000000",
         "4917610000000000003", "4222222222222")  # fmt: skip
IBANS = ("DE89370400440532013000", "GB82WEST12345698765432", "FR1420041010050500013M02606", "NO9386011117947",
         "TR330006100519786457841326", "NL91ABNA0417164300", "MT84MALT011000012345MTLCAST001S",
         "SE4550000000058398257466", "CH9300762011623852957", "PL61109010140000071219812874")  # fmt: skip


@pytest.mark.parametrize("number", CARDS)
@pytest.mark.parametrize("spelled", ["{}", "card:{}", "tok_{}", "{}/12-29"])
def test_a_card_number_is_no_destination(number: str, spelled: str) -> None:
    assert is_card_number(spelled.format(number))
    assert pointers("payouts.request", destination=spelled.format(number)) == ["/destination"]


@pytest.mark.parametrize("separator", "-._/")
def test_a_card_number_is_known_between_separators(separator: str) -> None:
    assert is_card_number(separator.join(("4111", "1111", "1111", "1111")))


@pytest.mark.parametrize("number", IBANS)
@pytest.mark.parametrize("spelled", ["{}", "iban:{}", "bank_{}", "IBAN={}"])
def test_an_iban_is_no_destination(number: str, spelled: str) -> None:
    for written in (number, number.lower()):
        assert is_account_number(spelled.format(written))
        assert pointers("payouts.request", destination=spelled.format(written)) == ["/destination"]


@pytest.mark.parametrize("number", IBANS)
def test_an_iban_is_known_between_separators(number: str) -> None:
    groups = [number[start : start + 4] for start in range(0, len(number), 4)]
    assert all(is_account_number(separator.join(groups)) for separator in "-._/")


@pytest.mark.parametrize(
    "token",
    [
        "ba_1MtwBwLkdIwHu7ix28a3tqPa",
        "acct_1MtwBwLkdIwHu7ix",
        "acct_1/ba_1",
        "card_1MvoiELkdIwHu7ixOeFGbN9D",
        "SE322KT223222D5FJ7TJN2986",
        "BA3227C223222B5CTBLR8BWJB",
        "ok",
        "decline_retryable:2",
        "bank-1700000000003",
        "4111111111111112",
        "DE89370400440532013001",
        "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f",
        "~" * 255,
    ],
)
def test_a_token_is_a_destination(token: str) -> None:
    parse("payouts.request", {**example("payouts.request"), "destination": token})


@pytest.mark.parametrize("token", ["", "a b", "a\n", "é", "~" * 256, 7, None, True])
def test_a_destination_is_short_printable_ascii(token: object) -> None:
    assert pointers("payouts.request", destination=token) == ["/destination"]


def test_a_refusal_does_not_repeat_the_number() -> None:
    with pytest.raises(InvalidArguments) as caught:
        parse("payouts.request", {**example("payouts.request"), "destination": IBANS[0]})
    assert IBANS[0] not in f"{caught.value} {caught.value.errors}"


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.text("0123456789ABCXYZ", min_size=30, max_size=30))
def test_every_country_s_number_is_told_by_its_check_digits(country: str, body: str) -> None:
    account = body[: IBAN_LENGTHS[country] - 4]
    remainder = int("".join(str(int(one, 36)) for one in f"{account}{country}00")) % 97
    right = f"{country}{98 - remainder:02d}{account}"
    wrong = f"{country}{(98 - remainder + 1) % 97:02d}{account}"
    assert is_account_number(right)
    assert not is_account_number(wrong)


@given(st.text("0123456789", min_size=12, max_size=18))
def test_exactly_one_last_digit_makes_a_card_number(digits: str) -> None:
    assert sum(is_card_number(f"{digits}{last}") for last in range(10)) == 1


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=255))
def test_whatever_the_token_it_is_judged_and_nothing_breaks(token: str) -> None:
    assert isinstance(is_card_number(token) or is_account_number(token), bool)


def test_there_are_six_commands() -> None:
    assert len(COMMANDS) == 6


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize(
    "payout_id", ["", "1", "0199f3c27d107cc39d4f0a1b2c3d4e5f", "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5g", 7, None,
                  "{0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f}", "0199f3c2-7d10-7cc3-9d4f-0a1b2c3d4e5f\n"]
)  # fmt: skip
def test_a_payout_is_named_by_a_uuid(name: str, payout_id: object) -> None:
    assert pointers(name, payout_id=payout_id) == ["/payout_id"]


@pytest.mark.parametrize("name", [*COMMANDS, "providers.pause", "providers.resume"])
@pytest.mark.parametrize("field", ["actor", "reason"])
def test_nobody_decides_without_a_name_and_a_reason(name: str, field: str) -> None:
    args = example(name)
    del args[field]
    with pytest.raises(InvalidArguments) as caught:
        parse(name, args)
    assert [error["pointer"] for error in caught.value.errors] == [f"/{field}"]
    for empty in ("", " ", None):
        assert pointers(name, **{field: empty}) == [f"/{field}"]
