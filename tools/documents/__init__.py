"""Documents: read a file of any supported kind, cut it into parts, find a quote in them again."""

from tools.documents.document import Document, Mark, Part, Section
from tools.documents.folder import find_files, read_file
from tools.documents.limits import LIMITS, Limits
from tools.documents.locating import evidence, locate
from tools.documents.reading import read_document
from tools.documents.splitting import MAX_PART_CHARS, split

__all__ = [
    "LIMITS",
    "MAX_PART_CHARS",
    "Document",
    "Limits",
    "Mark",
    "Part",
    "Section",
    "evidence",
    "find_files",
    "locate",
    "read_document",
    "read_file",
    "split",
]
