"""JSON with one reading only."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.providers.strict_json import DEPTH_MAX, NUMBER_DIGITS_MAX, StrictJsonError, loads_strict


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b'{"a":1}x', id="more after the end"),
        pytest.param(b"{'a':1}", id="single quotes"),
        pytest.param(b'{"a":1,}', id="trailing comma"),
        pytest.param(b'{"a":01}', id="leading zero"),
        pytest.param(b'\xef\xbb\xbf{"a":1}', id="byte order mark"),
        pytest.param('{"a":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a":"\xff"}', id="invalid UTF-8"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', id="surrogate in UTF-8"),
        pytest.param(b'{"a":1,"a":2}', id="duplicate key"),
        pytest.param(b'{"x":[{"a":1,"\\u0061":1}]}', id="duplicate key, escaped, deep inside"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":[-Infinity]}', id="Infinity"),
        pytest.param(b'{"a":1e999}', id="infinite by size"),
        pytest.param(b'{"a":' + b"9" * (NUMBER_DIGITS_MAX + 1) + b"}", id="too many digits"),
        pytest.param(b'{"a":1.' + b"0" * NUMBER_DIGITS_MAX + b"}", id="too many decimals"),
        pytest.param(b'{"a":"\\ud83d"}', id="half a surrogate pair"),
        pytest.param(b'{"\\udc00":1}', id="half a surrogate pair as key"),
        pytest.param(b'{"a":"\\u0000"}', id="NUL"),
        pytest.param(b'{"a\\u0000":1}', id="NUL in a key"),
        pytest.param(b'{"a":"\x00"}', id="raw NUL"),
        pytest.param(nested(DEPTH_MAX + 1), id="one level too deep"),
        pytest.param(b"[" * 200_000, id="very deep"),
        pytest.param(b"[" * 200_000 + b"]" * 200_000, id="very deep and closed"),
    ],
)
def test_what_could_be_read_in_two_ways_or_not_be_stored_is_refused(body: bytes) -> None:
    with pytest.raises(StrictJsonError) as refused:
        loads_strict(body)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 120


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"\\ud83d\\ude00"}',
        b'{"a":"\\\\u0000"}',
        '{"ü":"€ 😀"}'.encode(),
        b' {"a": [1, -2.5, 1e3, true, null, ""]}\n',
        nested(DEPTH_MAX),
        b"[" * DEPTH_MAX + b"]" * DEPTH_MAX,
        b'{"a":' + b"9" * NUMBER_DIGITS_MAX + b"}",
        b"[]",
        b"null",
    ],
)
def test_strict_json_reads_as_any_parser_would(body: bytes) -> None:
    assert loads_strict(body) == json.loads(body)


def test_a_byte_order_mark_is_named() -> None:
    with pytest.raises(StrictJsonError, match="byte order mark"):
        loads_strict(b"\xef\xbb\xbf{}")


def test_a_message_quotes_nothing_of_the_body() -> None:
    with pytest.raises(StrictJsonError) as refused:
        loads_strict(b'{"iban":"DE02120300000000202051" "x"}')
    assert "DE02" not in str(refused.value)


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text().map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        loads_strict(body)
    except StrictJsonError:
        return


@settings(deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet="abcü€"), inner),
        max_leaves=20,
    )
)
def test_what_json_writes_is_read_back(value: object) -> None:
    assert loads_strict(json.dumps(value).encode()) == value
