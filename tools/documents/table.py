"""A table as text: one line per row, cells between bars, every row marked."""

import csv
import io

from tools.documents.document import MAX_MARKS, Document, Draft

_DELIMITERS = ",;\t|"


def read_table(name: str, text: str) -> Document:
    """Return the rows of a CSV or TSV file; the names of its columns, if it has any, stand above each."""
    text = text.strip("\n")
    draft = Draft()
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=_delimiter(text)) if any(row)]
    except csv.Error:  # a cell beyond 128 kB, or quotes that never end: its words are still worth reading
        draft.add(text)
        return draft.finish(name)
    columns = _columns(rows)
    if columns:
        draft.mark(1, " | ".join(columns))
    # Marks are cheap to leave out and dear to keep: a huge table is marked by blocks of rows.
    block = -(-len(rows) // (MAX_MARKS - 1)) or 1
    for number, row in enumerate(rows, start=1):
        if number > bool(columns) and (number - 1) % block == bool(columns) % block:
            last = min(number + block - 1, len(rows))
            draft.mark(2, f"row {number}" if last == number else f"rows {number}-{last}")
        draft.add(" | ".join(" ".join(cell.split()) for cell in row) + "\n")
    return draft.finish(name)


def _delimiter(text: str) -> str:
    """Return the character that most often parts the cells of the first line."""
    first = text.partition("\n")[0]
    return max(_DELIMITERS, key=first.count)


def _columns(rows: list[list[str]]) -> list[str] | None:
    """Return the first row when it names the columns: each cell filled, none a number, more rows below."""
    if len(rows) < 2:  # noqa: PLR2004  a name needs something to name
        return None
    first = [" ".join(cell.split()) for cell in rows[0]]
    return first if all(cell and not _number(cell) for cell in first) else None


def _number(cell: str) -> bool:
    return cell.lstrip("+-$€£ ").replace(",", "").replace(".", "").rstrip("% ").isdigit()
