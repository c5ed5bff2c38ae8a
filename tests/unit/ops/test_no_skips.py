"""The gate's plugin: in CI a skip is a failure, elsewhere it is a skip."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ops.bootstrap import ROOT

TESTS = """
import pytest
from tests.no_skips import pytest_make_collect_report, pytest_runtest_makereport

@pytest.mark.skip(reason="no time")
def test_skipped(): ...

@pytest.mark.xfail(reason="known")
def test_expected_to_fail(): assert False

def test_passes(): ...
"""


@pytest.mark.parametrize(
    ("ci", "options", "closing"),
    [
        ("true", [], "1 passed, 1 xfailed, 1 error"),
        ("true", ["-p", "xdist", "-n", "1"], "1 passed, 1 xfailed, 1 error"),
        ("", [], "1 passed, 1 skipped, 1 xfailed"),
    ],
)
def test_a_skip_fails_only_in_ci(tmp_path: Path, ci: str, options: list[str], closing: str) -> None:
    body, _, tests = TESTS.partition("\n\n")
    (tmp_path / "conftest.py").write_text(body.replace("import pytest\n", ""))
    (tmp_path / "test_it.py").write_text("import pytest\n" + tests)
    assert closing in run(tmp_path, ci, options)


def test_a_skipped_file_fails_in_ci(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.no_skips import pytest_make_collect_report\n")
    (tmp_path / "test_it.py").write_text("import pytest\npytest.importorskip('no_such_module')\n")
    assert "1 error" in run(tmp_path, "true", [])


def run(folder: Path, ci: str, options: list[str]) -> str:
    environment = {**os.environ, "CI": ci, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        *options,
        str(folder),
    ]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    ).stdout
