"""DATABASE_URL: what it may say."""

import pytest
from pydantic import SecretStr

from database.engine import open_database
from database.settings import DatabaseSettings, parse_url
from runtime.errors import ConfigurationProblem


@pytest.mark.parametrize(
    ("text", "driver"),
    [
        ("mysql+aiomysql://u:p@h/d", "mariadb+aiomysql"),
        ("mariadb://u:p@h:3307/d", "mariadb+aiomysql"),
        ("mysql+pymysql://u@h/d", "mariadb+aiomysql"),
        ("sqlite+aiosqlite:////tmp/x.db", "sqlite+aiosqlite"),
        ("sqlite:///x.db", "sqlite+aiosqlite"),
    ],
)
def test_every_way_to_write_a_database_leads_to_the_driver_that_is_tested(text, driver):
    assert parse_url(text).drivername == driver


@pytest.mark.parametrize(
    "text",
    [
        "",
        "postgresql://u:secret@h/d",
        "not a url secret",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        "mysql://u:secret@h",
    ],
)
def test_a_database_that_cannot_be_used_is_refused_with_its_remedy_and_without_its_password(text):
    with pytest.raises(ConfigurationProblem, match="mysql\\+aiomysql://") as caught:
        parse_url(text)
    assert "secret" not in str(caught.value)


def test_without_a_setting_the_database_is_a_file_in_the_state_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path / "home"))
    url = parse_url(DatabaseSettings(_env_file=None).database_url.get_secret_value())
    assert url.database == str(tmp_path / "home" / "millrace.db")


@pytest.mark.parametrize("name", ["memory of 2026", "100%20 sure?", "a#b@c:d"])
def test_the_state_folder_may_have_any_name(monkeypatch, tmp_path, name):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("MILLRACE_HOME", str(tmp_path / name))
    url = parse_url(DatabaseSettings(_env_file=None).database_url.get_secret_value())
    assert url.database == str(tmp_path / name / "millrace.db")


def test_the_password_is_not_in_the_settings_text(monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "mysql+aiomysql://u:secret@h/d")
    assert "secret" not in repr(DatabaseSettings(_env_file=None))


async def test_opening_a_database_does_not_connect():
    """Importing and building must not wait for a server."""
    settings = DatabaseSettings(database_url=SecretStr("mysql+aiomysql://u:p@192.0.2.1/d"))
    await open_database(settings).close()
