"""The verbs: what each asks of the environment's Python."""

import subprocess
import sys
from pathlib import Path

import pytest

from ops.bootstrap import ROOT, TOGETHER, command, parallel


@pytest.mark.parametrize(
    ("verb", "rest", "asked"),
    [
        ("test", ["-n", "0", "-k", "x"], ["-m", "pytest", "-n", "0", "-k", "x"]),
        ("bench", [], ["-m", "pytest", "tests/bench", "-s"]),
        ("chaos", ["--short"], ["-m", "tests.chaos", "--short"]),
        ("check", ["--no-tests"], ["-m", "ops.check", "--no-tests"]),
        ("demo", [], ["-m", "ops.cli", "demo"]),
        ("jobs", ["list", "--json"], ["-m", "ops.cli", "jobs", "list", "--json"]),
    ],
)
def test_each_verb_is_handed_over(verb: str, rest: list[str], asked: list[str]) -> None:
    assert command(verb, rest) == asked


@pytest.mark.parametrize(
    ("arguments", "cpus", "options"),
    [
        ([], 8, ["-n", "4", *TOGETHER]),
        ([], 2, ["-n", "2", *TOGETHER]),
        ([], 1, []),
        (["-n", "3"], 8, []),
        (["-n3"], 8, []),
        (["--numprocesses=auto"], 8, []),
        (["-p", "no:xdist"], 8, []),
        (["-pno:xdist"], 8, []),
        (["--pdb"], 8, []),
        (["-k", "ledger"], 8, ["-n", "4", *TOGETHER]),
    ],
)
def test_tests_run_in_parallel_unless_the_caller_chose(
    arguments: list[str], cpus: int, options: list[str]
) -> None:
    assert parallel(arguments, cpus) == options


def test_no_verb_prints_the_usage_and_fails() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "setup" in done.stdout


def test_the_entry_is_readable_by_an_old_python() -> None:
    source = Path(ROOT / "ops" / "__main__.py").read_text()
    assert not any(newer in source for newer in ('f"', "match ", ":=", "->"))
