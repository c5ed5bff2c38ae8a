"""ops/Dockerfile, read as text: what is installed is held to the lock, and no secret gets in."""

import re
import tomllib

from tests.unit.compose.reading import ROOT

DOCKERFILE = (ROOT / "ops/Dockerfile").read_text()
IGNORED = (ROOT / "ops/Dockerfile.dockerignore").read_text().splitlines()


def test_installs_are_held_to_the_lock() -> None:
    assert "uv sync --frozen --no-default-groups --extra stripe --extra adyen" in DOCKERFILE
    assert "--build-constraint /tmp/build.txt" in DOCKERFILE
    assert re.search(r"\buv==\d+\.\d+\.\d+", DOCKERFILE)


def test_it_runs_as_a_user_and_not_as_root() -> None:
    final = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", final, re.MULTILINE)
    assert "COPY --from=build /app /app" in final


def test_everything_that_is_copied_exists_and_is_let_in() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {source for line in copied for source in line.split()}
    assert sources >= {"models", "worker", "tasks", "migrations", "ops", "uv.lock", "pyproject.toml"}
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in IGNORED, source


def test_secrets_stay_out_of_the_image() -> None:
    assert IGNORED[1] == "*"
    assert "ops/compose" in IGNORED


def test_the_extras_it_installs_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(re.findall(r"--extra (\w+)", DOCKERFILE)) <= set(project["optional-dependencies"])
