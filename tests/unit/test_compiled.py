"""Compiled templates are kept between starts, and nothing depends on them."""

from pathlib import Path

import jinja2
import pytest

from gateway.compiled import compiled_templates
from gateway.settings import Settings


def settings_in(folder: Path) -> Settings:
    return Settings.model_validate({"data": folder, "cache": folder / "cache"})


def written(settings: Settings, text: str) -> str:
    """What a template says in an environment of its own, as after a start."""
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({"page": text}),
        autoescape=True,
        bytecode_cache=compiled_templates(settings),
    )
    return environment.get_template("page").render(name="Ada")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("BUCKSTOP__CACHE")
    return settings_in(tmp_path)


def kept(settings: Settings) -> dict[str, bytes]:
    assert settings.cache is not None
    return {path.name: path.read_bytes() for path in settings.cache.iterdir()}


def test_what_was_compiled_once_is_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert written(settings, "Hello {{ name }}") == "Hello Ada"
    assert len(kept(settings)) == 1
    compiled = "jinja2.environment.Environment._generate"
    monkeypatch.setattr(compiled, lambda *_: pytest.fail("compiled again"))
    assert written(settings, "Hello {{ name }}") == "Hello Ada"


def test_other_words_are_compiled_anew(settings: Settings) -> None:
    assert written(settings, "Hello {{ name }}") == "Hello Ada"
    assert written(settings, "Good day {{ name }}") == "Good day Ada"


@pytest.mark.parametrize("damage", [b"", b"no code", None])
def test_a_damaged_file_is_made_again(settings: Settings, damage: bytes | None) -> None:
    assert written(settings, "Hello {{ name }}") == "Hello Ada"
    assert settings.cache is not None
    [path] = settings.cache.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-7] if damage is None else damage)
    assert written(settings, "Hello {{ name }}") == "Hello Ada"
    assert kept(settings) == {path.name: whole}


def test_nobody_else_reads_or_writes_there(settings: Settings) -> None:
    written(settings, "Hello {{ name }}")
    assert settings.cache is not None
    assert settings.cache.stat().st_mode & 0o777 == 0o700
    # What lies there is run: where others could have put something, nothing is read.
    settings.cache.chmod(0o770)
    assert compiled_templates(settings) is None


def test_where_nothing_can_be_kept_pages_are_written_all_the_same(settings: Settings) -> None:
    assert settings.cache is not None
    settings.cache.write_text("a file where the folder would be")
    assert compiled_templates(settings) is None
    assert written(settings, "Hello {{ name }}") == "Hello Ada"
    # And where the folder goes while we run.
    settings.cache.unlink()
    cache = compiled_templates(settings)
    settings.cache.rmdir()
    page = jinja2.Environment(
        loader=jinja2.DictLoader({"page": "Hello"}), autoescape=True, bytecode_cache=cache
    )
    assert page.get_template("page").render() == "Hello"
