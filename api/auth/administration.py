"""What whoever runs the server does from its command line, without asking the API."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from api.auth.keyring import rotate_keys
from api.auth.passwords import Passwords
from api.auth.settings import AuthSettings
from contracts.people import Email, Password, Role, User
from database.engine import open_database
from database.people.audit import COMMAND_LINE
from database.people.users import create_user
from database.settings import DatabaseSettings
from runtime.errors import BadInput


async def add_user(email: str, password: str, role: str, name: str, *, email_verified: bool = False) -> User:
    """Let somebody in, straight in the results database: this is how the first administrator comes.

    Raises:
        BadInput: `invalid_parameters`, the address, the password or the role will not do.
        Conflict: `email_taken`.
    """
    address = _checked(Email, email, "the email address")
    kind = _checked(Role, role, "the role")
    passwords = Passwords()
    database = open_database(DatabaseSettings())
    try:
        hashed = await passwords.hash(_checked(Password, password, "the password"))
        return await database.write(
            create_user,
            COMMAND_LINE,
            email=address,
            name=name,
            role=kind,
            password_hash=hashed,
            email_verified=email_verified,
        )
    finally:
        passwords.close()
        await database.close()


def renew_keys() -> str:
    """Make a new key that signs access tokens from now on; return its id."""
    return rotate_keys(AuthSettings().keys_file).id


def _checked(kind: Any, value: str, what: str) -> Any:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        # Its text would show the password.
        reason = "; ".join(each["msg"] for each in error.errors(include_input=False))
        raise BadInput(f"{what} will not do: {reason}.", "invalid_parameters") from None
