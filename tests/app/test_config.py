import pytest

from app import logs
from app.config import Config, ConfigError
from sandbox import paths
from tests.support.app_service import ENVIRONMENT, config, run

BAD = {
    "APP_ENV": ("prod", "one of development, staging, production, not 'prod'"),
    "PORT": ("http", "a whole number from 1 to 65535, not 'http'"),
    "DATABASE_URL": ("mysql://shop:hunter2@db/shop", "postgresql://user:password@host:port/database"),
    "JWT_SECRET": ("hunter2", "at least 32 characters, has 7"),
    "LOG_LEVEL": ("loud", "one of DEBUG, INFO, WARNING, ERROR"),
    "KEEP_ALIVE_SECONDS": ("0", "a whole number from 1 to 86400, not '0'"),
    "SHUTDOWN_SECONDS": ("3601", "a whole number from 1 to 3600, not '3601'"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": ("collector:4317", "http://host:port"),
    "FEATURE_FLAGS": ("dev-flags/shop", "application/environment/profile of AppConfig, not 'dev-flags/shop'"),
    "FAULT_ERROR_RATE": ("1.5", "a number from 0 to 1, not '1.5'"),
    "FAULT_DELAY_MS": ("0.5", "a whole number from 0 to 60000"),
    "FAULT_DELAY_RATE": ("-1", "a number from 0 to 1"),
}


def test_what_is_not_set_has_the_documented_default() -> None:
    required = {name: ENVIRONMENT[name] for name in ("APP_ENV", "DATABASE_URL", "JWT_SECRET")}
    plain = Config.read(required)
    assert (plain.port, plain.log_level, plain.color, plain.traces_endpoint) == (8080, "INFO", "none", None)
    assert (plain.keep_alive, plain.shutdown) == (75, 30)


@pytest.mark.parametrize(("name", "value", "reason"), [(name, *bad) for name, bad in BAD.items()])
def test_a_bad_variable_is_named_with_what_is_allowed(name: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        config(**{name: value})
    assert str(error.value).startswith(f"{name} ")
    assert reason in str(error.value)


@pytest.mark.parametrize("name", ["APP_ENV", "DATABASE_URL", "JWT_SECRET"])
@pytest.mark.parametrize("value", ["", "  "])
def test_a_required_variable_that_is_empty_counts_as_missing(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is not set$"):
        config(**{name: value})


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///shop",
        "postgresql://db",
        "postgresql://db:0/shop",
        "postgresql://db:port/shop",
        "postgresql://db/shop?no_such_setting=1",
        "host=db dbname=shop",
    ],
)
def test_a_database_url_without_host_or_database_or_with_nonsense_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^DATABASE_URL must be"):
        config(DATABASE_URL=url)


def test_faults_cannot_be_switched_on_in_production() -> None:
    with pytest.raises(ConfigError, match=r"^FAULT_ERROR_RATE is not allowed in production$"):
        config(APP_ENV="production", FAULT_ERROR_RATE="0.1")


def test_the_program_ends_at_once_with_one_line_that_names_every_bad_variable_and_quotes_no_secret() -> None:
    with run("app", environment={name: value for name, (value, _) in BAD.items()}) as process:
        output = process.communicate(timeout=20)[0]
    assert process.returncode == 1
    assert len(output.splitlines()) == 1
    assert [name for name in BAD if f"{name} must" not in output] == []
    assert "hunter2" not in output


def test_a_printed_configuration_shows_no_secret() -> None:
    right = config()
    assert [secret for secret in right.secrets() if secret in repr(right)] == []


@pytest.mark.parametrize("quoted", ["p%40ss%22word", 'p@ss"word'])
def test_a_password_that_a_library_quotes_in_a_message_is_not_logged(
    quoted: str, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.setup(secrets=config(DATABASE_URL="postgresql://shop:p%40ss%22word@db/shop").secrets())
    logs.get("some.library").error("cannot connect with %s", quoted)
    assert "cannot connect with ***" in capsys.readouterr().out


def test_every_variable_that_is_read_is_in_the_example_and_the_example_is_right() -> None:
    example = {}
    for line in (paths.ROOT / "app/.env.example").read_text().splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            example[name] = value.split("#")[0].strip()
    Config.read(example)
    read: set[str] = set()

    class Recorder(dict[str, str]):
        def get(self, key: str, default: str = "") -> str:  # type: ignore[override]
            read.add(key)
            return super().get(key, default)

    Config.read(Recorder(example))
    assert read | {"MIGRATION_DATABASE_URL"} == set(example)
