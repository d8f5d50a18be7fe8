"""Fixtures that tests of several packages share, one file per real thing under tests/fixtures/."""

from hypothesis import HealthCheck, settings

pytest_plugins = [
    "tests.fixtures.mariadb",
    "tests.fixtures.prefect_server",
    "tests.fixtures.stack",
]

# An example takes as long as the machine needs. (In CI, Hypothesis takes the same examples every time.)
settings.register_profile(
    "unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unhurried")
