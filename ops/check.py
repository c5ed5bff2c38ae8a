"""`python3 -m ops check`: every static check and the tests, one line each; the output only of what failed."""

import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from ops.bootstrap import ROOT, parallel
from ops.environment import REQUIREMENTS, pins

EXPORT = (
    "uv", "export", "--quiet", "--frozen", "--format", "requirements-txt", "--no-emit-project",
    "--all-groups", "--all-extras", "--no-annotate", "--no-header",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Run the checks; 0 when all passed, 1 otherwise, 2 for an argument that is not known."""
    if unknown := set(arguments) - {"--no-tests"}:
        print(f"not known: {' '.join(sorted(unknown))}; `check` takes --no-tests", file=sys.stderr)
        return 2
    passed = [report_lock(ROOT)]
    for name, command in steps(tests="--no-tests" not in arguments):
        passed.append(report(name, command))
    return 0 if all(passed) else 1


def steps(*, tests: bool) -> list[tuple[str, list[str]]]:
    tools = Path(sys.executable).parent
    found = [
        ("format", [f"{tools}/ruff", "format", "--check", "."]),
        ("lint", [f"{tools}/ruff", "check", "."]),
        ("types", [f"{tools}/mypy"]),
        ("imports", [f"{tools}/lint-imports"]),
    ]
    if tests:
        found.append(("tests", [sys.executable, "-m", "pytest", *parallel([])]))
    return found


def report(name: str, command: Sequence[str]) -> bool:
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    ok = done.returncode == 0
    line(name, ok, f"{time.monotonic() - started:.1f} s" if ok else f"exit code {done.returncode}")
    if not ok:
        print(done.stdout, flush=True)
    return ok


def report_lock(root: Path) -> bool:
    problem = lock_problem(root)
    line("lock", problem is None, problem or REQUIREMENTS)
    return problem is None


def lock_problem(root: Path) -> str | None:
    """Why the requirements that pip installs are not those of uv.lock; None when they are.

    Without uv the comparison is of names and versions; with it, of every byte.
    """
    remedy = f"run `{' '.join(EXPORT)} > {REQUIREMENTS}`"
    written = (root / REQUIREMENTS).read_text()
    if "://" in written:
        return f"{REQUIREMENTS} names a registry: {remedy}"
    if missing := pins(written).items() - locked_versions(root).items():
        return f"{REQUIREMENTS} pins {min(missing)}, which uv.lock does not: {remedy}"
    if shutil.which("uv") is None:
        return None
    exported = subprocess.run(EXPORT, cwd=root, capture_output=True, text=True, check=False)
    if exported.returncode != 0:
        return f"uv export failed: {exported.stderr.strip()}"
    return None if exported.stdout == written else f"{REQUIREMENTS} differs from uv.lock: {remedy}"


def locked_versions(root: Path) -> dict[str, str]:
    packages = tomllib.loads((root / "uv.lock").read_text())["package"]
    return {package["name"]: package["version"] for package in packages}


def line(name: str, ok: bool, remark: str) -> None:
    print(f"{'ok  ' if ok else 'FAIL'} {name:<8} {remark}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
