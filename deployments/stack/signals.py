"""End the work in hand when the process is asked to end."""

import asyncio
import signal


def end_on_signals() -> None:
    """Cancel the current task at each SIGINT, SIGTERM or SIGHUP (a closed terminal).

    The first lets everything end in good order; the second, while it does, cuts that short.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None:
        raise RuntimeError("there is no task to end")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, task.cancel)
