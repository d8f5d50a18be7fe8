"""Tell a run's events to a person as they come: live on a terminal, plain lines elsewhere."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from contracts.runs import Event, EventKind
from deployments.cli.console import say


class Telling:
    """Prints tokens to one console and everything else to the other; use it as `with`.

    Args:
        answers: where the pieces of an answer go, as they come.
        around: where statuses, steps and progress go.
    """

    def __init__(self, answers: Console, around: Console) -> None:
        self._answers = answers
        self._around = around
        self._bars: dict[str, TaskID] = {}
        self._told: dict[str, int] = {}
        self._trials: dict[tuple[str, object], object] = {}
        self._mid_line = False
        self._live: Progress | None = None
        if around.is_terminal:
            self._live = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                console=around,
                transient=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end_line()
        if self._live:
            self._live.stop()

    def tell(self, event: Event) -> None:
        """Show one event."""
        data = event.data
        match event.kind:
            case EventKind.TOKEN:
                self._token(str(data.get("text", "")))
            case EventKind.PROGRESS:
                self._progress(str(data.get("of", "")), int(data.get("done", 0)), int(data.get("total", 0)))
            case EventKind.STATE:
                reason = (data.get("waiting") or {}).get("reason")
                self._line(f"{data.get('status', '')}{f': {reason}' if reason else ''}")
            case EventKind.STEP:
                self._step(data)
            case EventKind.BUDGET:
                spent = f"{data.get('spent_usd')} of {data.get('cap_usd')} USD"
                self._line(f"  most of the {data.get('scope')} budget is spent: {spent}")
            case EventKind.APPROVAL:
                self._line(
                    f"  {data.get('title', '')} ({data.get('status', '')}; {data.get('approval_id', '')})"
                )
            case EventKind.TRIAL | EventKind.SCORE:
                self._raced(event.kind, data)
            case EventKind.TOOL:
                self._line(f"  {data.get('tool', '')} {data.get('status', '')}")
            case EventKind.COST:
                return

    def _step(self, data: dict[str, object]) -> None:
        more = f" after {data['ms']:.0f} ms" if isinstance(data.get("ms"), int | float) else ""
        again = f" (try {data['tries']})" if data.get("tries", 1) != 1 else ""
        reason = f": {data['error']}" if data.get("error") else ""
        self._line(f"  {data.get('step', '')} {data.get('status', '')}{more}{again}{reason}")

    def _raced(self, kind: EventKind, data: dict[str, object]) -> None:
        racer = str(data.get("racer", data.get("optimizer")))
        if kind is EventKind.SCORE:
            self._line(f"  {racer}: {data.get('score')} on the {data.get('examples')} validation examples")
            return
        # A run that goes on from the ledger tells its trials from the first one on.
        if self._trials.get((racer, data.get("trial"))) == data.get("score"):
            return
        self._trials[racer, data.get("trial")] = data.get("score")
        self._line(
            f"  {racer} trial {data.get('trial')}: {data.get('score')},"
            f" best {data.get('best')} after {data.get('calls')} calls, {data.get('usd')} USD"
        )

    def _token(self, text: str) -> None:
        if self._live:
            self._live.stop()
        self._mid_line = not text.endswith("\n")
        self._answers.print(text, end="", markup=False, highlight=False, soft_wrap=True)

    def _progress(self, of: str, done: int, total: int) -> None:
        if not self._live:
            # A line for each tenth; a log does not want two hundred.
            tenth = done * 10 // max(total, 1)
            if self._told.get(of) != tenth:
                self._told[of] = tenth
                self._line(f"  {done} of {total} {of}")
            return
        self._end_line()
        self._live.start()
        if of not in self._bars:
            self._bars[of] = self._live.add_task(of, total=total)
        self._live.update(self._bars[of], completed=done, total=total)

    def _line(self, text: str) -> None:
        self._end_line()
        say(text, self._around)

    def _end_line(self) -> None:
        if self._mid_line:
            say("", self._answers)
            self._mid_line = False
