"""All tables, by subject; `Table.metadata` knows them all."""

from database.tables.calls import CallRow
from database.tables.chats import ChatRow, MessageRow
from database.tables.files import FileRow
from database.tables.programs import ProgramRow, ProgramVersionRow
from database.tables.runs import EventRow, RunRow
from database.tables.table import Table, core
from database.tables.workers import WorkerRow

__all__ = [
    "CallRow",
    "ChatRow",
    "EventRow",
    "FileRow",
    "MessageRow",
    "ProgramRow",
    "ProgramVersionRow",
    "RunRow",
    "Table",
    "WorkerRow",
    "core",
]
