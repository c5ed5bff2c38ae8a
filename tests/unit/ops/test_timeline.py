"""The words of a payout's timeline: how long is left, and lines that fit any terminal."""

import pytest

from ops.cli import output
from ops.cli.output import print_lines
from ops.cli.timeline import left


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "in 0 s"), (40, "in 40 s"), (119, "in 119 s"), (120, "in 2 min"), (7_199, "in 120 min"),
        (7_200, "in 2 h"), (172_799, "in 48 h"), (172_800, "in 2 d"), (604_800, "in 7 d"),
        (-1, "1 s ago"), (-300, "5 min ago"), (-90_000, "25 h ago"),
    ],
)  # fmt: skip
def test_the_time_left_is_said_in_a_unit_that_a_person_reads(seconds: float, said: str) -> None:
    assert left(seconds) == said


@pytest.mark.parametrize("columns", [20, 79, 80, 200])
def test_lines_fit_the_terminal_and_lose_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setattr(output, "WIDE_COLUMNS", columns)
    prose = "key payout-01a1fc0f776172059b414832a254e6cf-1 " * 5
    print_lines([("12:00:00Z", "attempt", prose)])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= columns
    assert "".join(prose.split()) in "".join(shown.split())


def test_nothing_in_a_line_speaks_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines([("12:00:00Z", "job", "\x1b[2Jby [red]eve[/red]\nall is well")])
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert r"\x1b[2Jby [red]eve[/red]\nall is well" in shown


def test_no_lines_are_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines([])
    assert capsys.readouterr().out == ""
