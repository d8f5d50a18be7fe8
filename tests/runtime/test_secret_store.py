"""Secrets by name: where they are kept, how long a value is used, and what happens when they change."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import structlog
from moto import mock_aws
from pydantic import SecretStr

from runtime import masking
from runtime.errors import BadInput, ConfigurationProblem, MillraceError, Unavailable
from runtime.masking import masked, remember
from runtime.secret_store.aws import SecretsManager
from runtime.secret_store.settings import SecretSettings
from runtime.secret_store.store import PAUSE_SECONDS, SecretStore, open_secrets
from runtime.secret_store.vault import Vault
from runtime.settings import Slice
from tests.fixtures.vault_server import TOKEN, VaultServer, vault_server

__all__ = ["vault_server"]


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch):
    """What one test reads as a secret is an ordinary word in the next."""
    monkeypatch.setattr(masking, "_known", {})


class Clock:
    """Monotonic seconds that pass when told."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Keeper:
    """A place whose secrets, failures and questions a test sees."""

    instant = False

    def __init__(self, **secrets: str) -> None:
        self.secrets = secrets
        self.away = False
        self.asked: list[str] = []

    def read(self, name: str) -> str | None:
        self.asked.append(name)
        if self.away:
            raise Unavailable("the keeper is away", code="secrets_unavailable")
        return self.secrets.get(name)

    def names(self) -> list[str]:
        return sorted(self.secrets)

    def remedy(self, name: str) -> str:
        return f"tell the keeper {name}"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """AWS as moto plays it; no login of this machine is used."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        yield


def stored(keeper: Keeper, clock: Clock) -> SecretStore:
    return SecretStore(keeper, SecretSettings(secrets_ttl_seconds=60, secrets_grace_seconds=600), clock=clock)


def test_a_value_is_asked_for_once_in_its_time_and_a_rotated_one_is_seen_after(clock: Clock):
    """Rotation needs no restart, and not every call asks the backend."""
    keeper = Keeper(A_KEY="first value")
    store = stored(keeper, clock)
    assert [store.get_now("A_KEY"), store.get_now("A_KEY")] == ["first value", "first value"]
    assert keeper.asked == ["A_KEY"]

    keeper.secrets["A_KEY"] = "second value"
    clock.now += 61

    assert store.get_now("A_KEY") == "second value"


def test_a_value_that_was_not_accepted_is_asked_for_at_once(clock: Clock):
    keeper = Keeper(A_KEY="first value")
    store = stored(keeper, clock)
    store.get_now("A_KEY")
    keeper.secrets["A_KEY"] = "second value"

    store.forget("A_KEY")

    assert store.get_now("A_KEY") == "second value"


def test_while_the_backend_is_away_the_last_value_is_used_but_not_for_ever(clock: Clock):
    keeper = Keeper(A_KEY="the value")
    store = stored(keeper, clock)
    store.get_now("A_KEY")
    keeper.away = True

    clock.now += 61
    assert store.get_now("A_KEY") == "the value"
    asked = len(keeper.asked)
    assert store.get_now("A_KEY") == "the value"
    assert len(keeper.asked) == asked  # a backend in trouble is not asked at every call
    clock.now += 700
    with pytest.raises(Unavailable, match="away") as caught:
        store.get_now("A_KEY")
    assert caught.value.code == "secrets_unavailable"


def test_a_backend_that_was_away_at_the_first_question_is_asked_again(clock: Clock):
    keeper = Keeper(A_KEY="the value")
    keeper.away = True
    store = stored(keeper, clock)
    with pytest.raises(Unavailable):
        store.get_now("A_KEY")

    keeper.away = False

    assert store.get_now("A_KEY") == "the value"


def test_a_secret_that_is_missing_is_found_soon_after_it_was_put_there(clock: Clock):
    keeper = Keeper()
    store = stored(keeper, clock)
    assert store.get_now("A_KEY") is None

    keeper.secrets["A_KEY"] = "the value"
    clock.now += PAUSE_SECONDS

    assert store.get_now("A_KEY") == "the value"


async def test_many_at_once_ask_the_backend_once_and_block_nobody(clock: Clock):
    """An expired key under load must not become a hundred questions, nor stop the event loop."""
    keeper = Keeper(A_KEY="the value")
    answering = threading.Event()
    read = keeper.read

    def slow(name: str) -> str | None:
        assert answering.wait(10)
        return read(name)

    keeper.read = slow
    store = stored(keeper, clock)
    waiting = [asyncio.create_task(store.get("A_KEY")) for _ in range(20)]
    await asyncio.sleep(0)

    answering.set()

    assert await asyncio.gather(*waiting) == ["the value"] * 20
    assert keeper.asked == ["A_KEY"]


@pytest.mark.parametrize("name", ["../etc/passwd", "", "a b", "1KEY", "a/b", "x" * 200])
def test_a_name_that_could_be_a_path_is_refused(clock: Clock, name: str):
    with pytest.raises(BadInput) as caught:
        stored(Keeper(), clock).get_now(name)

    assert caught.value.code == "bad_secret_name"


def test_the_environment_comes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("A_KEY=from the file\nB_KEY=only there\nC_KEY=\n")
    monkeypatch.setenv("A_KEY", "from the environment")
    store = open_secrets()

    found = [store.get_now(name) for name in ("A_KEY", "B_KEY", "C_KEY", "D_KEY")]

    assert found == ["from the environment", "only there", None, None]
    assert store.names() == []  # nobody can tell which variables are secrets


def test_a_folder_keeps_one_file_per_secret(tmp_path: Path):
    """As Docker and Kubernetes mount them, hidden folders of their own included."""
    (tmp_path / "A_KEY").write_text("the value\n")
    (tmp_path / "..data").mkdir()
    (tmp_path / ".hidden").write_text("x")
    store = open_secrets(SecretSettings(secrets_backend="file", secrets_dir=tmp_path))

    assert store.names() == ["A_KEY"]
    assert (store.get_now("A_KEY"), store.get_now("B_KEY")) == ("the value", None)
    assert str(tmp_path / "B_KEY") in store.remedy("B_KEY")


def test_a_folder_that_is_not_there_keeps_nothing(tmp_path: Path):
    store = open_secrets(SecretSettings(secrets_backend="file", secrets_dir=tmp_path / "none"))

    assert (store.names(), store.get_now("A_KEY")) == ([], None)


def vault_settings(server: VaultServer, **more: object) -> SecretSettings:
    told = {"secrets_backend": "vault", "vault_addr": server.url, "vault_token": SecretStr(TOKEN), **more}
    return SecretSettings(**told)


def test_vault_keeps_the_fields_of_one_secret(vault_server: VaultServer):
    vault_server.fields = {"A_KEY": "the value", "B_KEY": "another"}
    store = open_secrets(vault_settings(vault_server))

    assert store.names() == ["A_KEY", "B_KEY"]
    assert (store.get_now("A_KEY"), store.get_now("C_KEY")) == ("the value", None)
    assert "vault kv patch -mount=secret millrace C_KEY=" in store.remedy("C_KEY")


def test_a_value_that_was_rotated_in_vault_is_seen_when_its_time_is_over(
    vault_server: VaultServer, clock: Clock
):
    """The same process goes on, and Vault is asked once in that time, not at each use."""
    vault_server.fields = {"A_KEY": "first value"}
    settings = vault_settings(vault_server, secrets_ttl_seconds=60)
    store = SecretStore(Vault(settings), settings, clock=clock)
    assert [store.get_now("A_KEY"), store.get_now("A_KEY")] == ["first value"] * 2
    reads = vault_server.reads

    vault_server.fields = {"A_KEY": "second value"}
    assert store.get_now("A_KEY") == "first value"
    assert vault_server.reads == reads
    clock.now += 61

    assert store.get_now("A_KEY") == "second value"
    # The old one may still be on its way to somewhere.
    assert masked("first value, second value") == "[redacted], [redacted]"


@pytest.mark.usefixtures("aws")
def test_a_value_that_was_rotated_in_aws_is_seen_when_its_time_is_over_or_it_is_refused(clock: Clock):
    client = boto3.client("secretsmanager")
    client.create_secret(Name="millrace/A_KEY", SecretString="first value")
    settings = SecretSettings(secrets_backend="aws", secrets_ttl_seconds=60)
    store = SecretStore(SecretsManager(settings.secrets_aws_prefix), settings, clock=clock)
    found = [store.get_now("A_KEY")]

    client.put_secret_value(SecretId="millrace/A_KEY", SecretString="second value")
    found.append(store.get_now("A_KEY"))
    clock.now += 61
    found.append(store.get_now("A_KEY"))
    client.put_secret_value(SecretId="millrace/A_KEY", SecretString="third value")
    store.forget("A_KEY")
    found.append(store.get_now("A_KEY"))

    assert found == ["first value", "first value", "second value", "third value"]


class Address(Slice):
    """Settings of which one is an address with a password in it."""

    an_address: SecretStr | None = None
    a_token: SecretStr | None = None


def test_settings_that_are_secrets_are_taken_out_of_all_that_is_written(monkeypatch: pytest.MonkeyPatch):
    """Of an address only the password: where a file lies is no secret."""
    monkeypatch.setenv("AN_ADDRESS", "mysql+aiomysql://ada:p%40ss-word-1@db/millrace")
    monkeypatch.setenv("A_TOKEN", "a-token-of-mine")
    Address()
    monkeypatch.setenv("AN_ADDRESS", "sqlite+aiosqlite:////srv/millrace.db")
    Address()

    told = masked("ada p%40ss-word-1 p@ss-word-1 a-token-of-mine sqlite+aiosqlite:////srv/millrace.db")

    assert told == "ada [redacted] [redacted] [redacted] sqlite+aiosqlite:////srv/millrace.db"


def test_a_path_that_vault_does_not_know_keeps_nothing(vault_server: VaultServer):
    store = open_secrets(vault_settings(vault_server, secrets_vault_path="secret/other"))

    assert (store.names(), store.get_now("A_KEY")) == ([], None)


def test_a_token_that_an_agent_renews_is_read_at_each_use(vault_server: VaultServer, tmp_path: Path):
    vault_server.fields = {"A_KEY": "the value"}
    token = tmp_path / "token"
    token.write_text("an old token")
    settings = vault_settings(vault_server, vault_token=None, vault_token_file=token)
    store = open_secrets(settings)
    with pytest.raises(ConfigurationProblem, match="check the token") as caught:
        store.get_now("A_KEY")
    assert caught.value.code == "secrets_refused"

    token.write_text(f"{TOKEN}\n")

    assert store.get_now("A_KEY") == "the value"


@pytest.mark.parametrize("status", [500, 503])
def test_a_vault_that_fails_or_is_sealed_is_away(vault_server: VaultServer, status: int):
    vault_server.status = status

    with pytest.raises(Unavailable) as caught:
        open_secrets(vault_settings(vault_server)).get_now("A_KEY")

    assert caught.value.code == "secrets_unavailable"


def test_a_vault_that_is_gone_is_away(vault_server: VaultServer):
    settings = vault_settings(vault_server, vault_addr="http://127.0.0.1:9")

    with pytest.raises(Unavailable) as caught:
        open_secrets(settings).get_now("A_KEY")

    assert TOKEN not in str(caught.value)


@pytest.mark.usefixtures("aws")
def test_aws_keeps_one_secret_per_name_behind_a_prefix():
    client = boto3.client("secretsmanager")
    client.create_secret(Name="millrace/A_KEY", SecretString="the value")
    client.create_secret(Name="somebody-else/B_KEY", SecretString="not ours")
    store = open_secrets(SecretSettings(secrets_backend="aws", secrets_ttl_seconds=0))

    assert store.names() == ["A_KEY"]
    assert (store.get_now("A_KEY"), store.get_now("B_KEY")) == ("the value", None)

    client.put_secret_value(SecretId="millrace/A_KEY", SecretString="rotated value")
    assert store.get_now("A_KEY") == "rotated value"


def test_aws_without_a_region_is_told_at_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(ConfigurationProblem, match="region") as caught:
        open_secrets(SecretSettings(secrets_backend="aws"))

    assert caught.value.code == "secrets_refused"


class Wanting(Slice):
    """Settings of which one is a secret."""

    a_password: SecretStr | None = None
    a_size: int = 1


def test_a_secret_setting_may_be_kept_where_all_secrets_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The database's URL holds a password: it belongs where the keys are."""
    monkeypatch.setenv("SECRETS_BACKEND", "file")
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    (tmp_path / "A_PASSWORD").write_text("kept in a file")
    (tmp_path / "A_SIZE").write_text("7")

    found = Wanting()

    assert found.a_password is not None
    assert (found.a_password.get_secret_value(), found.a_size) == ("kept in a file", 1)
    monkeypatch.setenv("A_PASSWORD", "from the environment")
    assert Wanting().a_password == SecretStr("from the environment")


def test_a_secret_that_was_read_is_in_no_error_and_in_no_log(
    clock: Clock, capsys: pytest.CaptureFixture[str]
):
    from runtime.log import LogSettings, configure_logging

    value = "correct-horse-battery"
    stored(Keeper(A_KEY=value), clock).get_now("A_KEY")

    error = MillraceError(f"the server said {value}", detail={"said": [f"<{value}>"]})
    configure_logging("test", LogSettings(log_format="json"))
    structlog.get_logger().warning("heard", words=f"it is {value}", error=repr(error))
    structlog.reset_defaults()

    line = json.loads(capsys.readouterr().err)
    assert line["words"] == "it is [redacted]"
    for text in (str(error), repr(error.args), json.dumps(error.detail), json.dumps(line)):
        assert value not in text


def test_masking_leaves_what_holds_no_secret_as_it_is():
    """Almost every text: it must not be copied."""
    remember("a-very-secret-value")
    data = {"messages": [{"content": "hello"}], "n": 1}

    assert masked(data) is data
    assert masked({"a-very-secret-value": ("x a-very-secret-value",)}) == {"[redacted]": ("x [redacted]",)}


def test_a_word_is_no_secret():
    """A three-letter password in the mask would garble every text, and protect nothing."""
    remember("the")

    assert masked("the river") == "the river"
