"""A short run with a fixed seed. By hand, longer and with another seed: `python3 -m ops chaos`."""

from pathlib import Path

import pytest

from tests.chaos.__main__ import main

SEED = 1
"""Both workers killed, connections killed, the shim frozen, Redis stopped, PostgreSQL restarted."""


@pytest.mark.chaos
def test_every_promise_holds_while_everything_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["--battle", "jobs", "--short", "--seed", str(SEED), "--json", str(tmp_path / "result.json")])
    assert code == 0, capsys.readouterr().out


@pytest.mark.chaos
def test_money_leaves_once_while_providers_fail_and_workers_die(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(
        ["--battle", "payouts", "--short", "--seed", str(SEED), "--json", str(tmp_path / "result.json")]
    )
    assert code == 0, capsys.readouterr().out
