"""`python -m deployments.stack.watched MODULE ARGS`: run a module that ends when its parent does.

The parent holds the writing end of a pipe and nothing else does. When it dies, however it dies, the pipe
closes, and the child ends as if by SIGTERM. This works where PR_SET_PDEATHSIG does not exist.
"""

import os
import runpy
import signal
import sys
import threading
import time

from runtime.errors import ConfigurationProblem, MillraceError

PIPE = "MILLRACE_PARENT_PIPE"
GRACE = "MILLRACE_STOP_SECONDS"
BAD_CONFIGURATION = 2


def main() -> None:
    """Run the module named by the first argument as `__main__`, under watch."""
    pipe, grace = int(os.environ.pop(PIPE)), float(os.environ.pop(GRACE))
    os.set_inheritable(pipe, False)
    threading.Thread(target=_end_with_parent, args=(pipe, grace), name="parent", daemon=True).start()
    sys.argv = sys.argv[1:]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except MillraceError as problem:
        sys.stderr.write(f"{problem.message}\n")
        sys.exit(BAD_CONFIGURATION if isinstance(problem, ConfigurationProblem) else 1)


def _end_with_parent(pipe: int, grace: float) -> None:
    """Wait until the parent is gone, then end: gently at first, with the whole process group at last."""
    os.read(pipe, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    main()
