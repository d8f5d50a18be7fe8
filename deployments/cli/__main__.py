"""`python -m deployments.cli` is `millrace`."""

from deployments.cli import main

main()
