"""Logging of a process: structlog and the standard library in one chain, to stderr and optionally a file.

Bind what every line of a piece of work shall carry once, with `log_context(run_id=..., step=...)`; it
follows awaits and tasks. Prompts, answers and secrets are taken out (runtime/redaction.py).
"""

import logging
import logging.handlers
import sys
from pathlib import Path
from typing import Literal, TextIO

import structlog
from pydantic import Field
from structlog.contextvars import bound_contextvars
from structlog.typing import EventDict, Processor, WrappedLogger

from runtime.redaction import redact, told_safely
from runtime.settings import Slice

log_context = bound_contextvars

QUIET = {
    # They log each request, each statement (with its parameters: prompts), or each model answer.
    "LiteLLM": logging.WARNING,
    "LiteLLM Router": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "alembic": logging.WARNING,
    "asyncio": logging.WARNING,
    "docket": logging.WARNING,
    "dspy": logging.ERROR,
    "httpcore": logging.WARNING,
    "httpx": logging.WARNING,
    "optuna": logging.WARNING,
    "sqlalchemy": logging.WARNING,
    "uvicorn.access": logging.WARNING,
    "websockets": logging.WARNING,
}


class LogSettings(Slice):
    """What is logged, how and where to."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Lowest level logged."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`json` for machines, `console` for people; `auto`: console on a terminal."
    )
    log_file: str | None = Field(
        None,
        description="Log to this file too, as JSON. `{process}` becomes the process's name (api,"
        " worker-batch, ...): two processes must not share a file.",
    )
    log_file_bytes: int = Field(10 * 1024 * 1024, ge=1024, description="The file is rotated at this size.")
    log_file_backups: int = Field(3, ge=1, description="How many rotated files are kept.")


def configure_logging(process: str, settings: LogSettings | None = None) -> None:
    """Route every log record of this process through one chain. Calling it again replaces the chain.

    Args:
        process: the process's name, carried by every line: `api`, `worker-batch`, `prefect`, `cli`.
        settings: read from the environment when not given.
    """
    settings = settings or LogSettings()
    shared = _shared_steps(process)
    handlers = [_stream_handler(sys.stderr, settings.log_format, shared)]
    if settings.log_file:
        handlers.append(_file_handler(Path(settings.log_file.format(process=process)), settings, shared))
    logging.basicConfig(level=settings.log_level, handlers=handlers, force=True)
    logging.captureWarnings(capture=True)
    _tame_other_loggers()
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _shared_steps(process: str) -> list[Processor]:
    def name_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_process,
    ]


def _stream_handler(stream: TextIO, log_format: str, shared: list[Processor]) -> logging.Handler:
    terminal = stream.isatty()
    readable = log_format == "console" or (log_format == "auto" and terminal)
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(shared, _console(terminal) if readable else _json()))
    return handler


def _file_handler(path: Path, settings: LogSettings, shared: list[Processor]) -> logging.Handler:
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        path,
        maxBytes=settings.log_file_bytes,
        backupCount=settings.log_file_backups,
        encoding="utf-8",
        delay=True,
    )
    handler.setFormatter(_formatter(shared, _json()))
    return handler


def _formatter(shared: list[Processor], renderer: Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_colors,
            structlog.processors.ExceptionRenderer(told_safely),
            redact,
            renderer,
        ],
    )


def _without_colors(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Drop the second, coloured message that uvicorn puts beside each of its own."""
    event.pop("color_message", None)
    return event


def _json() -> Processor:
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


def _console(colors: bool) -> Processor:
    return structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


def _tame_other_loggers() -> None:
    """Take away the handlers that libraries gave themselves, and raise the levels of the loud ones."""
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "fastapi"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
