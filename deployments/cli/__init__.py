"""The `millrace` command: small files, one per subcommand, that import what they need when they run."""

import sys

from runtime.errors import BadInput, ConfigurationProblem, Conflict, MillraceError, NotFound

# What the caller must change; anything else may go better another time.
CALLERS_FAULT = (BadInput, ConfigurationProblem, Conflict, NotFound)


def main() -> None:
    """Run the command line; an error of ours ends it with one line and exit code 2 (change it) or 1."""
    from deployments.cli.app import app
    from deployments.cli.console import problem

    try:
        app(prog_name="millrace")
    except MillraceError as error:
        problem(error)
        sys.exit(2 if isinstance(error, CALLERS_FAULT) else 1)
