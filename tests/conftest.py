"""Fixtures that tests of several packages share, one file per real thing under tests/fixtures/."""

pytest_plugins = [
    "tests.fixtures.mariadb",
    "tests.fixtures.prefect_server",
    "tests.fixtures.stack",
]
