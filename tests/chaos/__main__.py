"""`python -m tests.chaos`: the long form. Its last line of output is its report as JSON."""

import argparse
import os
import signal
import sys
import tempfile
from functools import partial

from tests.chaos.plan import long_form, mutated, short_form

# ruff: noqa: T201


def main() -> int:
    """Run what the command line asks for; the exit code is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(description="Kill everything at random moments and count what is left.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=240, help="how long new trouble begins")
    parser.add_argument("--pace", type=float, help="times slower; by default, as slow as the stack starts")
    parser.add_argument("--short", action="store_true", help="the form of `make test`")
    parser.add_argument("--mutation", choices=["no fence", "no run key", "no call key"])
    told = parser.parse_args()
    # As Ctrl-C: by an exception, so that no process is left behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan, paced = long_form(told.seed, told.seconds, told.pace or 1), None
    if told.short or told.mutation:
        plan = mutated(told.mutation, told.seed) if told.mutation else short_form(told.seed)
    elif told.pace is None:
        paced = partial(long_form, told.seed, told.seconds)
    with tempfile.TemporaryDirectory(prefix="millrace-chaos-") as folder:
        os.environ["MILLRACE_HOME"] = folder
        from tests.chaos.driver import run_chaos

        print(f"chaos: seed {plan.seed}, {plan.seconds:.0f} s of trouble ...", file=sys.stderr, flush=True)
        outcome = run_chaos(plan, paced)
    for promise, evidence in outcome.findings:
        print(f"{promise}: {evidence}", file=sys.stderr)
    print(outcome.as_line(), flush=True)
    return 1 if outcome.findings else 0


if __name__ == "__main__":
    sys.exit(main())
