"""What `deploy/` says is true of the code: settings, services, files that are copied."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from gateway.cli import app
from gateway.compose import SERVICES
from gateway.settings import Settings, load

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
EXAMPLE = DEPLOY / "buckstop.example.toml"

# `# name = value` is a setting that is not made; every other comment is words.
_NOT_MADE = re.compile(r"^# ([a-z_]+ = .+)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("BUCKSTOP"):
            monkeypatch.delenv(name)


def names_of(model: type[BaseModel], path: str = "") -> Iterator[str]:
    """The dotted names of every setting below a model."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from names_of(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def names_in(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from names_in(value, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def ours() -> dict[str, Any]:
    """The services of compose.yaml that run our image."""
    return {
        name: service
        for name, service in compose()["services"].items()
        if service["image"].startswith("buckstop")
    }


def test_the_example_changes_nothing_as_it_stands() -> None:
    assert load(EXAMPLE) == load()


def test_the_example_names_every_setting_and_no_other(tmp_path: Path) -> None:
    made = EXAMPLE.read_text()
    everything = tmp_path / "everything.toml"
    everything.write_text(_NOT_MADE.sub(r"\1", made))

    load(everything)

    assert sorted(names_in(tomllib.loads(everything.read_text()))) == sorted(names_of(Settings))


def test_each_word_after_run_is_a_service_and_none_is_missing() -> None:
    commands = [service["command"] for service in ours().values()]

    assert [words for words in commands if words[0] != "run"] == [["migrate"]]
    assert sorted(word for words in commands if words[0] == "run" for word in words[1:]) == sorted(
        SERVICES
    )
    assert all(app[words[0]] for words in commands)


def test_services_wait_for_healthy_engines_and_for_the_migration() -> None:
    services = compose()["services"]
    for name, service in ours().items():
        for other, condition in service["depends_on"].items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in services[other], (name, other)
            else:
                assert condition["condition"] == "service_completed_successfully"
                assert services[other]["restart"] == "no"
        if name != "migrate":
            assert set(service["depends_on"]) == {"nats", "postgres", "migrate"}


def test_the_settings_that_compose_makes_can_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKSTOP__SECRET", "x" * 32)
    for service in ours().values():
        for name, value in service["environment"].items():
            if name.startswith("BUCKSTOP__"):
                monkeypatch.setenv(name, re.sub(r"\$\{[^}]*\}", "0123abcd", value))

        settings = load(EXAMPLE)

        assert settings.bus.url
        assert settings.bus.token is not None
        assert settings.store.dsn.endswith("@postgres:5432/buckstop")
        assert str(settings.data) == "/data"


def test_every_secret_that_compose_asks_for_stands_in_the_example_of_secrets() -> None:
    asked_for = set(re.findall(r"\$\{([A-Z_]+)", (DEPLOY / "compose.yaml").read_text()))
    offered = set(re.findall(r"^#? ?([A-Z_]+)=", (DEPLOY / "example.env").read_text(), re.M))

    assert asked_for <= offered
    known = {f"BUCKSTOP__{name.upper().replace('.', '__')}" for name in names_of(Settings)}
    assert {name for name in offered if name.startswith("BUCKSTOP")} <= known


def test_every_volume_and_file_that_compose_mounts_is_there() -> None:
    whole = compose()
    for service in whole["services"].values():
        for volume in service["volumes"]:
            source = volume["source"] if isinstance(volume, dict) else volume.partition(":")[0]
            if source == "./buckstop.toml":
                continue  # whoever deploys makes it, from the example
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), source
            else:
                assert source in whole["volumes"]


def test_the_dockerfile_copies_what_there_is_and_does_not_run_as_root() -> None:
    steps = (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    words = [step.split() for step in steps if step and not step.startswith("#")]
    let_in = (DEPLOY / "Dockerfile.dockerignore").read_text().split()

    for step in words:
        if step[0] == "COPY" and not step[1].startswith("--from"):
            for source in step[1:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in let_in, source
    users = [step[1] for step in words if step[0] == "USER"]
    assert users == ["buckstop"]
    assert ["ENTRYPOINT", '["buckstop"]'] in words


def test_the_image_has_every_package_of_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    dockerfile = (DEPLOY / "Dockerfile").read_text()

    assert all(f"COPY {package} {package}\n" in dockerfile for package in packages)
    version = project["project"]["version"]
    assert {service["image"] for service in ours().values()} == {f"buckstop:{version}"}


def test_the_unit_runs_a_command_that_exists() -> None:
    unit = (DEPLOY / "buckstop.service").read_text()
    (command,) = re.findall(r"^ExecStart=\S+/buckstop (\w+)", unit, re.M)

    assert app[command]
