"""When `.venv` is made again, when it is left alone, and what a failed setup says."""

import multiprocessing
from pathlib import Path

import pytest

from ops import environment
from ops.bootstrap import ROOT
from ops.check import lock_problem
from ops.environment import UNFINISHED, advice, ensure, fingerprint, fits, in_step, interpreter, locked, pins

PYPROJECT = '[project]\nname = "ledgerbeat"\n[tool.ruff]\nline-length = 100\n'


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "ops").mkdir()
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    (tmp_path / "uv.lock").write_text("version = 1\n")
    (tmp_path / "ops" / "requirements.lock").write_text("click==8.3.0 \\\n    --hash=sha256:00\n")
    return tmp_path


@pytest.fixture
def built(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every environment that was made, in order; a made one is nothing but the name of an interpreter."""
    made: list[Path] = []

    def make(root: Path) -> None:
        made.append(root)
        interpreter(root).parent.mkdir(parents=True, exist_ok=True)
        interpreter(root).touch()

    monkeypatch.setattr(environment, "make", make)
    return made


def test_a_second_setup_has_nothing_to_do(checkout: Path, built: list[Path]) -> None:
    assert [ensure(checkout), ensure(checkout)] == [True, False]
    assert built == [checkout]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("uv.lock", "version = 2\n"),
        ("ops/requirements.lock", "click==8.3.1 \\\n    --hash=sha256:01\n"),
        ("pyproject.toml", PYPROJECT.replace('"ledgerbeat"', '"ledgerbeat"\nversion = "2"')),
    ],
)
def test_a_changed_lock_makes_it_again(checkout: Path, built: list[Path], file: str, text: str) -> None:
    ensure(checkout)
    (checkout / file).write_text(text)
    assert ensure(checkout)
    assert built == [checkout, checkout]


def test_a_linters_setting_does_not_make_it_again(checkout: Path, built: list[Path]) -> None:
    ensure(checkout)
    (checkout / "pyproject.toml").write_text(PYPROJECT.replace("100", "110"))
    assert not ensure(checkout)


def test_a_moved_checkout_makes_it_again(checkout: Path, built: list[Path], tmp_path: Path) -> None:
    ensure(checkout)
    stamp = fingerprint(checkout)
    moved = checkout.rename(tmp_path.parent / f"{tmp_path.name}-moved")
    assert not fits(moved, fingerprint(moved))
    assert fingerprint(moved) != stamp


def test_a_vanished_interpreter_makes_it_again(checkout: Path, built: list[Path]) -> None:
    ensure(checkout)
    interpreter(checkout).unlink()
    assert ensure(checkout)


def test_this_environment_is_in_step_until_it_says_it_is_unfinished(checkout: Path) -> None:
    (checkout / "ops" / "requirements.lock").write_text((ROOT / "ops" / "requirements.lock").read_text())
    (checkout / ".venv").mkdir()
    (checkout / ".venv" / "bin").symlink_to(ROOT / ".venv" / "bin")
    (checkout / ".venv" / "lib").symlink_to(ROOT / ".venv" / "lib")
    (checkout / ".venv" / "pyvenv.cfg").symlink_to(ROOT / ".venv" / "pyvenv.cfg")
    assert in_step(checkout)
    (checkout / ".venv" / UNFINISHED).touch()
    assert not in_step(checkout)


def test_an_environment_that_lacks_a_locked_package_is_not_in_step(checkout: Path) -> None:
    (checkout / "ops" / "requirements.lock").write_text("click==0.0.1 \\\n    --hash=sha256:00\n")
    (checkout / ".venv").symlink_to(ROOT / ".venv")
    assert not in_step(checkout)


def hold(root: Path, holding: object, release: object) -> None:
    with locked(root):
        holding.set()  # type: ignore[attr-defined] # an Event of the spawn context
        release.wait(60)  # type: ignore[attr-defined]


def test_of_two_setups_the_second_waits(checkout: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    holding, release, done = spawn.Event(), spawn.Event(), spawn.Event()
    free = spawn.Event()
    free.set()
    first = spawn.Process(target=hold, args=(checkout, holding, release))
    first.start()
    assert holding.wait(60)
    second = spawn.Process(target=hold, args=(checkout, done, free))
    second.start()
    assert not done.wait(0.5)
    release.set()
    assert done.wait(60)
    for process in (first, second):
        process.join(60)
        assert process.exitcode == 0


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("OSError: [Errno 28] No space left on device", "the disk is full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "differs from the locked one"),
        ("The virtual environment was not created: ensurepip is not available", "python3-venv"),
        ("NewConnectionError: refused\nERROR: No matching distribution found for x", "out of reach"),
        ("first\nsomething new went wrong\n", "something new went wrong"),
        ("", "it said nothing"),
    ],
)
def test_a_failed_setup_says_what_to_do_in_one_line(output: str, says: str) -> None:
    sentence = advice(output)
    assert says in sentence
    assert "\n" not in sentence
    kept = Path(sentence.rpartition(" in ")[2].rstrip(")"))
    assert kept.read_text() == output
    kept.unlink()


def test_pins_are_read_without_those_of_other_platforms() -> None:
    text = "Foo_Bar==1.0 \\\n    --hash=sha256:0\ncolorama==1 ; sys_platform == 'win32' \\\n"
    assert pins(text) == {"foo-bar": "1.0"}


def test_the_requirements_are_those_of_the_lock() -> None:
    assert lock_problem(ROOT) is None


def test_a_requirement_that_the_lock_does_not_know_is_found(checkout: Path) -> None:
    (checkout / "uv.lock").write_text('[[package]]\nname = "click"\nversion = "8.2.0"\n')
    assert "uv.lock does not" in str(lock_problem(checkout))
