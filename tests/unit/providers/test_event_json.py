"""JSON as providers send it: what is authentic is read, in one way only."""

import json
import math
from contextlib import suppress
from time import perf_counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.providers.event_json import NUMBER_DIGITS_MAX, Ambiguous, NotUnderstood, TooDeep, json_object
from worker.providers.port import MalformedEvent

MEBIBYTE = 1024 * 1024


@pytest.mark.parametrize(
    "unread",
    [
        pytest.param(b'"Birthday \\ud83d"', id="half a surrogate pair"),
        pytest.param(b'"\\udc00\\ud800"', id="a pair in the wrong order"),
        pytest.param(b'"a\\u0000b"', id="NUL"),
        pytest.param(b'{"\\ud83d": 1, "\\u0000": 2}', id="both in keys"),
        pytest.param(b'{"k": 1, "k": 2}', id="a key twice"),
        pytest.param(b"1e400", id="infinite by size"),
        pytest.param(b"-1e999999", id="infinite downwards"),
        pytest.param(b"9" * 400, id="400 digits"),
        pytest.param(b"9" * 5_000, id="more digits than Python converts"),
        pytest.param(b"0." + b"1" * 5_000, id="many decimals"),
        pytest.param(b"1e" + b"9" * 5_000, id="a long exponent"),
        pytest.param(b"[" * 300 + b"]" * 300, id="deep"),
        pytest.param(b'"\\ud83d\\ude00"', id="a whole pair"),
    ],
)
def test_what_is_not_read_is_no_reason_to_refuse_the_rest(unread: bytes) -> None:
    value = json_object(b'{"id": "evt_1", "unread": ' + unread + b', "amount": 7}')
    assert (value["id"], value["amount"]) == ("evt_1", 7)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b'{"a":1}x', b"{'a':1}", b'{"a":1,}', b'{"a":01}', b'\xef\xbb\xbf{"a":1}', b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}', b'{"a":NaN}', b'{"a":[-Infinity]}', b'{"a":"\x00"}', b"[]", b"null", b'"{}"',
        '{"a":1}'.encode("utf-16"), b'{"a":' + b"9" * 5_000,
    ],
)  # fmt: skip
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedEvent) as refused:
        json_object(body)
    assert not isinstance(refused.value, TooDeep)
    assert str(refused.value).endswith(".")


class TestAKeyThatStandsTwice:
    @pytest.mark.parametrize("other", [b"1", b"2", b'"1"', b"null", b"{}"])
    def test_is_read_by_nobody(self, other: bytes) -> None:
        value = json_object(b'{"amount": 1, "id": "evt_1", "\\u0061mount": ' + other + b"}")
        assert isinstance(value, Ambiguous)
        for read in (value.get, value.__getitem__):
            with pytest.raises(NotUnderstood, match=r"^amount stands twice in its object$"):
                read("amount")

    def test_leaves_the_others_as_they_are(self) -> None:
        value = json_object(b'{"a": 1, "a": 2, "b": {"c": [{"d": 1, "d": 1}]}}')
        assert (value["b"]["c"][0].get("e", 5), value.get("x")) == (5, None)
        with pytest.raises(KeyError):
            value["x"]

    def test_or_three_times(self) -> None:
        with pytest.raises(NotUnderstood):
            json_object(b'{"a": 1, "a": 1, "a": 1}').get("a")


def test_numbers_are_exact_up_to_the_bound_and_none_beyond_it() -> None:
    value = json_object(b'{"a": %s, "b": %s}' % (b"9" * NUMBER_DIGITS_MAX, b"9" * (NUMBER_DIGITS_MAX + 1)))
    assert value["a"] == 10**NUMBER_DIGITS_MAX - 1
    assert math.isnan(value["b"])


def test_what_nests_deeper_than_can_be_read_says_so() -> None:
    with pytest.raises(TooDeep):
        json_object(b'{"a":' * 100_000)


def test_containers_are_counted_before_they_cost_anything() -> None:
    assert json_object(b'{"a": [{}, {}]}', containers_max=4)
    with pytest.raises(MalformedEvent, match="more than 4 objects and lists"):
        json_object(b'{"a": [{}, {}, {}]}', containers_max=4)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"[" * MEBIBYTE, id="brackets"),
        pytest.param(b'{"a":' * (MEBIBYTE // 5), id="objects"),
        pytest.param(b'{"a":' + b"9" * (MEBIBYTE - 10) + b"}", id="one number"),
        pytest.param(b'{"a":[' + (b"9" * 1_000 + b",") * 1_040 + b"1]}", id="numbers at the bound"),
        pytest.param(b'{"a":[' + b"1," * (MEBIBYTE // 2 - 10) + b"1]}", id="small numbers"),
        pytest.param(b'{"a":[' + b"{}," * (MEBIBYTE // 3 - 10) + b"1]}", id="small objects"),
        pytest.param(b"{" + b'"a":1,' * (MEBIBYTE // 6 - 10) + b'"a":1}', id="one key"),
        pytest.param(b'{"a":"' + b"\\ud83d" * (MEBIBYTE // 6 - 10) + b'"}', id="halves of surrogates"),
    ],
)
def test_a_mebibyte_of_anything_is_read_or_refused_in_a_moment(body: bytes) -> None:
    """Tens of milliseconds on a calm core; what grows with the square of its size would take minutes."""
    started = perf_counter()
    with suppress(MalformedEvent):
        json_object(body)
    assert perf_counter() - started < 3


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.text(alphabet=st.characters(exclude_categories=())),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=20,
        ),
    )
)
def test_it_reads_as_any_parser_would(value: dict[str, object]) -> None:
    assert json_object(json.dumps(value).encode()) == value


@settings(deadline=None)
@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(MalformedEvent):
        json_object(body)
