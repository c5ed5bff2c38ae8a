"""Headers as a door sees them: by name in lower case, the repeated ones too, without the white space around."""

from worker.providers.headers import Headers

RAW = [
    (b"host", b"shim"),
    (b"x-twice", b"a"),
    (b"x-twice", b"b"),
    (b"x-wide", b" \t v \t"),
    (b"x-latin", b"\xe9"),
]


def test_the_first_value_and_all_of_them() -> None:
    headers = Headers(RAW)
    assert (headers["x-twice"], headers.all("x-twice")) == ("a", ["a", "b"])
    assert (headers.get("x-none"), list(headers.all("x-none"))) == (None, [])
    assert (list(headers), len(headers)) == (["host", "x-twice", "x-wide", "x-latin"], 4)


def test_white_space_around_a_value_is_not_part_of_it() -> None:
    assert Headers(RAW)["x-wide"] == "v"


def test_bytes_past_ascii_are_read_and_not_lost() -> None:
    assert Headers(RAW)["x-latin"] == "\xe9"
