"""
Every setting in one tree: one TOML file, the environment over it, unknown keys refused by name.

Each room declares its own settings beside the code that reads them; here they are nested. The
environment names a setting by its path: `BUCKSTOP__STORE__DSN` is `[store] dsn`.
"""

import ipaddress
import os
import secrets
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bus import connect
from bus.files import Settings as FileSettings
from channels.settings import ChannelSettings
from gateway.canary_settings import CanarySettings
from gateway.open_data.settings import OpenDataSettings
from gateway.reports.settings import ReportSettings
from gateway.traces import TraceSettings
from notifier.settings import NotifierSettings
from notifier.sms_settings import SmsSettings
from router.settings import RouterSettings
from store import pool

PREFIX = "BUCKSTOP__"


class BadSettings(Exception):
    """Settings that cannot be used; one sentence a fault, each naming the key."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class HttpSettings(BaseModel):
    """Where the pages are served."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8311, ge=1, le=65535)
    base_url: str = ""
    """The public address, as `https://report.example.gov`; empty: host and port."""
    trusted_proxies: int = Field(default=0, ge=0, le=5)
    """How many proxies of ours stand in front and append to X-Forwarded-For."""
    metrics_token: SecretStr | None = None
    """Whoever asks for `/metrics` must bear it. Empty: only who sits at this machine may ask."""


class LogSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    level: str = Field(default="info", pattern="^(debug|info|warning|error)$")
    format: str = Field(default="auto", pattern="^(auto|json|console)$")
    """`auto`: for people on a terminal, JSON elsewhere."""


class Settings(BaseSettings):
    """The whole of Buckstop's settings."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    data: Path = Path(".buckstop")
    """The data directory: engines, files, trained models, the secret."""
    city: str = "independence"
    """A sample city that comes along, or the path of a city folder."""
    cache: Path | None = None
    """
    Where lies what can be made again, and is read by us as it lies there: compiled templates.
    Nobody else may write there. Default: `cache` in the data directory.
    """
    secret: SecretStr | None = None
    """
    From it come the references and the tokens of forms: at least 32 characters, the same on every
    host, never changed. Empty: made once and kept in the data directory.
    """
    processes: int = Field(default=3, ge=1, le=3)
    """
    1: everything in one process. 2: the pages in one, the services in another beside it. 3: the
    notifier in one of its own, too.
    """
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()
    bus: connect.Settings = connect.Settings()
    files: FileSettings = FileSettings()
    store: pool.Settings = pool.Settings()
    router: RouterSettings = RouterSettings()
    channels: ChannelSettings = ChannelSettings()
    notifier: NotifierSettings = NotifierSettings()
    reports: ReportSettings = ReportSettings()
    open_data: OpenDataSettings = OpenDataSettings()
    traces: TraceSettings = TraceSettings()
    canary: CanarySettings = CanarySettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        # What `load` read from the file is given to __init__ and comes last; a file of secrets in
        # the environment's manner is read too, where the deployment mounts one.
        return env_settings, file_secret_settings, init_settings

    @property
    def base_url(self) -> str:
        """The address under which people reach the pages, without a slash at the end."""
        if self.http.base_url:
            return self.http.base_url.rstrip("/")
        host = "127.0.0.1" if self.http.host in ("0.0.0.0", "::", "") else self.http.host  # noqa: S104
        return f"http://{host}:{self.http.port}"

    @property
    def on_loopback(self) -> bool:
        """Nobody but this machine reaches the pages."""
        try:
            return ipaddress.ip_address(self.http.host).is_loopback
        except ValueError:
            return self.http.host == "localhost"


def load(config: Path | None = None, *, data: Path | None = None) -> Settings:
    """
    The settings of a file and the environment. `config` falls back to `BUCKSTOP_CONFIG`.

    Raises `BadSettings` with every fault at once: unknown keys, wrong values, an unreadable file.
    """
    config = config or (Path(named) if (named := os.environ.get("BUCKSTOP_CONFIG")) else None)
    values: dict[str, Any] = {}
    if config is not None:
        try:
            values = tomllib.loads(config.read_text())
        except OSError as error:
            raise BadSettings([f"{config}: {error.strerror}."]) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise BadSettings([f"{config} is not TOML: {error}."]) from error
    faults = _unknown_in_environment()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise BadSettings(
            faults + [_sentence(fault, config) for fault in error.errors()]
        ) from error
    except ValueError as error:  # a value in the environment that is no JSON where JSON is due
        raise BadSettings([*faults, f"The environment cannot be read: {error}."]) from error
    if settings.secret is not None and len(settings.secret.get_secret_value()) < 32:
        faults.append("secret: at least 32 characters, please.")
    if faults:
        raise BadSettings(faults)
    return settings if data is None else settings.model_copy(update={"data": data})


def texting_of(settings: Settings) -> SmsSettings:
    """
    How texts are sent: as the settings say, and what they leave out as texts come in. Reports are
    asked for where Twilio can bring them: to a public address, signed with a token that we know.
    """
    ours, theirs = settings.notifier.sms, settings.channels.sms
    known: dict[str, object] = {}
    if not ours.account_sid and theirs.account_sid:
        known = {"account_sid": theirs.account_sid, "auth_token": theirs.auth_token}
        if theirs.api_url != type(theirs)().api_url:
            known["api_url"] = theirs.api_url
        if not (ours.from_number or ours.messaging_service_sid):
            if not theirs.numbers:
                return ours  # nothing that we could send from
            known["from_number"] = theirs.numbers[0]
    account = ours.account_sid or theirs.account_sid
    if not ours.status_callback and settings.http.base_url and account == theirs.account_sid:
        known["status_callback"] = f"{settings.base_url}{theirs.webhook_path}/status"
    return ours.model_copy(update=known)


def secret_of(settings: Settings) -> bytes:
    """The secret, made and kept in the data directory when the settings name none."""
    if settings.secret is not None:
        return settings.secret.get_secret_value().encode()
    path = settings.data / "secret"
    try:
        return path.read_bytes()
    except FileNotFoundError:
        settings.data.mkdir(parents=True, exist_ok=True)
        draft = settings.data / f"secret.{os.getpid()}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_hex(32))
        try:
            # Two commands may start at once: the first link wins, and both read that one.
            path.hardlink_to(draft)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        return path.read_bytes()


def _unknown_in_environment() -> list[str]:
    # pydantic-settings passes over names that it does not know at the top; a misspelt one would
    # be a setting silently not made.
    faults = []
    for name in os.environ:
        if name.upper().startswith(PREFIX):
            path = name.upper()[len(PREFIX) :].lower().split("__")
            known: Any = Settings  # a settings class, or None below a value
            for step in path:
                field = known.model_fields.get(step) if known is not None else None
                if field is None:
                    faults.append(f"The environment sets {name}, and there is no such setting.")
                    break
                inner = field.annotation
                nested = isinstance(inner, type) and issubclass(inner, BaseModel)
                known = inner if nested else None
    return faults


def _sentence(fault: Any, config: Path | None) -> str:
    path = ".".join(str(step) for step in fault["loc"])
    where = f" ({config})" if config is not None else ""
    if fault["type"] == "extra_forbidden":
        return f"{path}: there is no such setting{where}."
    return f"{path}: {fault['msg']}{where}."
