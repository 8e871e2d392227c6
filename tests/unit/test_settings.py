"""Settings: one file, the environment over it, and a sentence for everything that is wrong."""

import os
from pathlib import Path

import pytest

from gateway.settings import BadSettings, load, secret_of


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("BUCKSTOP"):
            monkeypatch.delenv(name)


def written(folder: Path, toml: str) -> Path:
    path = folder / "buckstop.toml"
    path.write_text(toml)
    return path


def faults_of(config: Path | None) -> list[str]:
    with pytest.raises(BadSettings) as refused:
        load(config)
    return refused.value.faults


def test_without_any_setting_everything_has_a_default() -> None:
    settings = load()

    assert (settings.base_url, settings.city, str(settings.data)) == (
        "http://127.0.0.1:8311",
        "independence",
        ".buckstop",
    )


def test_an_unknown_key_is_refused_by_name(tmp_path: Path) -> None:
    config = written(tmp_path, "citty = 'x'\n[store]\ndns = 'postgresql://h/d'\n")

    faults = faults_of(config)

    assert len(faults) == 2
    assert any(one.startswith("citty: there is no such setting") for one in faults)
    assert any(one.startswith("store.dns: there is no such setting") for one in faults)
    assert all(str(config) in one for one in faults)


@pytest.mark.parametrize(
    "name", ["BUCKSTOP__STORE__DNS", "BUCKSTOP__CITTY", "BUCKSTOP__CITY__NAME", "buckstop__nobody"]
)
def test_an_unknown_name_in_the_environment_is_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "x")

    assert any(name in one for one in faults_of(None))


def test_a_value_of_the_wrong_kind_is_named(tmp_path: Path) -> None:
    config = written(tmp_path, "[http]\nport = 'high'\n[notifier.smtp]\nsecurity = 'maybe'\n")

    faults = faults_of(config)

    assert [one.partition(":")[0] for one in sorted(faults)] == [
        "http.port",
        "notifier.smtp.security",
    ]


def test_every_fault_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKSTOP__NOBODY", "1")
    config = written(tmp_path, "where = 1\n[log]\nlevel = 'loud'\n")

    faults = " ".join(faults_of(config))

    assert all(word in faults for word in ("BUCKSTOP__NOBODY", "where", "log.level"))


def test_the_environment_stands_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = written(tmp_path, "[http]\nport = 9001\nhost = '127.0.0.2'\n")
    monkeypatch.setenv("BUCKSTOP__HTTP__PORT", "9002")

    settings = load(config)

    assert (settings.http.host, settings.http.port) == ("127.0.0.2", 9002)


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUCKSTOP_CONFIG", str(written(tmp_path, "[http]\nport = 9003\n")))

    assert load().http.port == 9003


def test_the_directory_of_the_command_line_stands_over_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKSTOP__DATA", "/from/the/environment")
    config = written(tmp_path, "data = '/from/the/file'\n")

    assert load(config).data == Path("/from/the/environment")
    assert load(config, data=tmp_path).data == tmp_path


@pytest.mark.parametrize(
    ("toml", "word"),
    [
        ("this is no TOML", "is not TOML"),
        ("[notifier.smtp]\nhost = 'mail.example.gov'\n", "from_address is needed"),
        ("[notifier.smtp]\npassword = 'x'\n", "password without username"),
        ("secret = 'short'\n", "at least 32 characters"),
        ("[notifier]\nmap_link = 'https://map.example/'\n", "must hold {lat}, {lon}"),
    ],
)
def test_what_does_not_fit_together_is_said_in_a_sentence(
    tmp_path: Path, toml: str, word: str
) -> None:
    assert word in " ".join(faults_of(written(tmp_path, toml)))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert faults_of(tmp_path / "nowhere.toml") == [
        f"{tmp_path / 'nowhere.toml'}: No such file or directory."
    ]


def test_a_fault_does_not_repeat_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BUCKSTOP__NOTIFIER__SMTP__PASSWORD", "correct horse battery")
    config = written(tmp_path, "secret = 'shorter than it should be'\n[notifier.smtp]\nport = 0\n")

    told = " ".join(faults_of(config))

    assert "correct horse" not in told
    assert "shorter than" not in told


def test_the_secret_is_made_once_and_kept_from_others(tmp_path: Path) -> None:
    settings = load(data=tmp_path / "data")

    first = secret_of(settings)

    assert len(first) >= 32
    assert secret_of(settings) == first
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o077 == 0
