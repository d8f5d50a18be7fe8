"""What a production server refuses to start with."""

from api.settings import ApiSettings
from database.settings import DatabaseSettings, parse_url
from runtime.errors import ConfigurationProblem
from runtime.log import LogSettings

WELL_KNOWN = frozenset(
    {
        *("", "admin", "change-me", "changeme", "default", "example", "mariadb", "millrace", "password"),
        *("root", "secret", "test"),
    }
)


def refuse_unsafe(settings: ApiSettings, database: DatabaseSettings, log: LogSettings) -> None:
    """Refuse a production server (MILLRACE_ENVIRONMENT) that is one in name only.

    That nobody is asked who calls is refused elsewhere (`settings.refuse_open_bind`).

    Raises:
        ConfigurationProblem: `unsafe_in_production`, with everything that must change.
    """
    if settings.millrace_environment != "production":
        return
    url = parse_url(database.database_url.get_secret_value())
    found = [
        (log.log_level == "DEBUG", "LOG_LEVEL=DEBUG would log prompts and answers"),
        (bool(settings.api_docs), "API_DOCS=true would show the documentation pages"),
        (
            url.get_backend_name() != "sqlite"
            and (str(url.password or "") in WELL_KNOWN or url.password == url.username),
            "DATABASE_URL has a password that everybody knows",
        ),
    ]
    if reasons := [reason for applies, reason in found if applies]:
        raise ConfigurationProblem(f"Not in production: {'; '.join(reasons)}.", "unsafe_in_production")
