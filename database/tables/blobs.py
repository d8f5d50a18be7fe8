"""Large texts of an owner, each piece once."""

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from database.columns import LongText
from database.tables.table import OWNER_CHARS, Table, table_args

HASH_CHARS = 43


class BlobRow(Table):
    """A piece of text, or the list of the pieces that a longer one consists of.

    Never changed. Whoever holds a node holds all that it stands for: they are written in one transaction.
    """

    __tablename__ = "blobs"
    __table_args__ = table_args()

    owner: Mapped[str] = mapped_column(String(OWNER_CHARS), primary_key=True)
    hash: Mapped[str] = mapped_column(String(HASH_CHARS), primary_key=True)
    is_node: Mapped[bool]
    content: Mapped[str] = mapped_column(LongText)
    created_at: Mapped[datetime]
