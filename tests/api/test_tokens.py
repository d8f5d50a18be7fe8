"""Access tokens that we did not sign, not for this, not for now: none of them says who calls."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import jwt
import pytest

from api.auth.keyring import Keyring, read_keys, rotate_keys
from api.auth.tokens import ALGORITHM, AUDIENCE, ISSUER, AccessTokens
from runtime.errors import ConfigurationProblem, NotAuthenticated
from tests.api.people import Town

MINUTES_15 = timedelta(minutes=15)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    rotate_keys(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def forged(path: Path, header: dict | None = None, secret: bytes | None = None, **claims: object) -> str:
    """A token as we sign them, but for what is given."""
    key, at = read_keys(path)[-1], datetime.now(UTC)
    told = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": str(uuid4()),
        "sid": str(uuid4()),
        "iat": at,
        "exp": at + MINUTES_15,
        **claims,
    }
    told = {name: value for name, value in told.items() if value is not None}
    headers = {"kid": key.id, "typ": "at+jwt", **(header or {})}
    return jwt.encode(told, secret or key.secret, ALGORITHM, headers=headers)


def encoded(part: dict) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def unsigned(path: Path, alg: str) -> str:
    """A token that says itself that it needs no signature."""
    head, body, _ = forged(path).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    header = {**json.loads(base64.urlsafe_b64decode(head + "==")), "alg": alg}
    return f"{encoded(header)}.{encoded(claims)}."


def test_a_token_of_ours_tells_whose_it_is(path: Path):
    user, session = uuid4(), uuid4()
    tokens = AccessTokens(Keyring(path), MINUTES_15)
    claims = tokens.read(tokens.sign(user, session))

    assert (claims.user_id, claims.session_id) == (user, session)
    assert timedelta(minutes=14) < claims.expires_at - datetime.now(UTC) <= MINUTES_15


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "HS512", "RS256", ""])
def test_a_token_does_not_choose_how_it_is_checked(path: Path, alg: str):
    with pytest.raises(NotAuthenticated) as refusal:
        AccessTokens(Keyring(path), MINUTES_15).read(unsigned(path, alg))
    assert refusal.value.code == "bad_token"


@pytest.mark.parametrize(
    "wrong",
    [
        {"aud": "another-api"},
        {"aud": None},
        {"iss": "somebody"},
        {"iss": None},
        {"exp": None},
        {"sid": None},
        {"sid": "x"},
        {"sub": "1; DROP TABLE users"},
        {"iat": datetime(2100, 1, 1, tzinfo=UTC), "exp": datetime(2100, 1, 2, tzinfo=UTC)},
        {"exp": 10**40},
        {"header": {"kid": "../../etc/passwd"}},
        {"header": {"typ": "JWT"}},
        {"secret": b"guessed" * 5},
    ],
    ids=str,
)
def test_a_token_that_is_wrong_in_one_thing_is_wrong(path: Path, wrong: dict):
    with pytest.raises(NotAuthenticated) as refusal:
        AccessTokens(Keyring(path), MINUTES_15).read(forged(path, **wrong))
    assert refusal.value.code == "bad_token"


def test_a_token_whose_signature_was_cut_off_is_refused(path: Path):
    with pytest.raises(NotAuthenticated):
        AccessTokens(Keyring(path), MINUTES_15).read(forged(path).rpartition(".")[0] + ".")


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "x" * 5000, "é.é.é", "eyJhbGciOiJub25lIn0..", "\0"])
def test_what_is_no_token_at_all_is_a_bad_one(path: Path, text: str):
    with pytest.raises(NotAuthenticated) as refusal:
        AccessTokens(Keyring(path), MINUTES_15).read(text)
    assert refusal.value.code == "bad_token"


def test_an_expired_token_says_so(path: Path):
    long_ago = datetime.now(UTC) - timedelta(minutes=1)
    with pytest.raises(NotAuthenticated) as refusal:
        AccessTokens(Keyring(path), MINUTES_15).read(forged(path, exp=long_ago))
    assert refusal.value.code == "token_expired"


def test_keys_rotate_under_a_running_process(path: Path):
    """Tokens of the key before are believed until they expire; nobody signs in again."""
    tokens = AccessTokens(Keyring(path), MINUTES_15)
    before = tokens.sign(uuid4(), uuid4())
    new = rotate_keys(path)

    assert tokens.read(before)
    after = tokens.sign(uuid4(), uuid4())
    assert jwt.get_unverified_header(after)["kid"] == new.id
    assert tokens.read(after)


def test_a_key_is_dropped_when_its_last_token_has_expired(path: Path):
    old, *_ = listed = json.loads(path.read_text())["keys"]
    old["made_at"] = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    second = {**old, "id": "second", "made_at": (datetime.now(UTC) - timedelta(days=1)).isoformat()}
    path.write_text(json.dumps({"keys": [*listed, second]}))

    new = rotate_keys(path)

    assert [key.id for key in read_keys(path)] == ["second", new.id]


@pytest.mark.parametrize("content", ["", "{}", '{"keys": []}', '{"keys": [{"id": "a"}]}', "[1]", None])
def test_a_file_that_holds_no_keys_is_said(tmp_path: Path, content: str | None):
    path = tmp_path / "keys.json"
    if content is not None:
        path.write_text(content)
        path.chmod(0o600)
    with pytest.raises(ConfigurationProblem, match="millrace keys rotate") as refusal:
        read_keys(path)
    assert refusal.value.code == "bad_keys_file"


def test_keys_that_others_can_read_are_no_secret(path: Path):
    path.chmod(0o644)
    with pytest.raises(ConfigurationProblem, match="chmod 600"):
        read_keys(path)


@pytest.mark.parametrize("mode", [0o400, 0o440, 0o600, 0o640])
def test_keys_of_a_mounted_secret_are_read(path: Path, mode: int):
    """Kubernetes gives a secret's files to a group: 0440, and they were refused."""
    path.chmod(mode)
    assert read_keys(path)


@pytest.mark.parametrize("mode", [0o660, 0o604, 0o602, 0o601])
def test_keys_that_the_group_can_change_or_others_can_touch_are_refused(path: Path, mode: int):
    path.chmod(mode)
    with pytest.raises(ConfigurationProblem, match="changed by its group"):
        read_keys(path)


def test_keys_in_a_folder_where_nothing_can_be_written_say_how_to_rotate_them():
    """A mounted secret is read-only: the command ended with a traceback."""
    with pytest.raises(ConfigurationProblem, match="replace the secret") as refusal:
        rotate_keys(Path("/proc/auth-keys.json"))  # not even root makes a file there
    assert refusal.value.code == "keys_read_only"


def test_short_keys_are_refused(path: Path):
    keys = json.loads(path.read_text())
    keys["keys"][0]["secret"] = base64.b64encode(b"secret").decode()
    path.write_text(json.dumps(keys))
    with pytest.raises(ConfigurationProblem, match="32 bytes"):
        read_keys(path)


async def test_a_token_of_a_person_for_somebody_elses_sign_in_is_refused(town: Town, tmp_path: Path):
    """Both ids are real; together they are a lie."""
    claims = jwt.decode(town["uma"].tokens["access_token"], options={"verify_signature": False})
    mixed = forged(tmp_path / "auth-keys.json", sub=town["ada"].id, sid=claims["sid"])

    assert (await town.with_credential(mixed, "GET", "/users")).status_code == 401


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic YWRhOmFkYQ==",
        "Bearer null",
        "Bearer mlr_",
        "Bearer mlr_%00",
        "bearer x y z",
    ],
)
async def test_other_headers_say_nothing(town: Town, header: str):
    answer = await town.client.get("/api/v1/runs", headers={"Authorization": header})

    assert answer.status_code == 401


async def test_a_credential_in_the_address_is_not_looked_at(town: Town):
    token = town["ada"].tokens["access_token"]
    answer = await town.client.get(f"/api/v1/runs?access_token={token}&token={token}")

    assert answer.status_code == 401
