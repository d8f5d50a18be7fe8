"""Column types that mean the same on MariaDB and on SQLite."""

import json
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, LargeBinary, Numeric, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

MONEY_PLACES = 10
_CENT = Decimal(1).scaleb(-MONEY_PLACES)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime with microseconds, stored in UTC.

    MariaDB's DATETIME drops microseconds unless asked, and neither database keeps a zone.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return DATETIME(6) on MariaDB."""
        kind = DateTime() if dialect.name == "sqlite" else mysql.DATETIME(fsp=6)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Refuse a naive datetime: nobody knows what time it tells."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a datetime without a zone cannot be stored")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Give back the zone."""
        return None if value is None else value.replace(tzinfo=UTC)


class Money(TypeDecorator[Decimal]):
    """US dollars as an exact decimal with 10 places, up to 922 million.

    SQLite has no decimals: there it is an integer of 1e-10 dollars, so that sums stay exact in SQL too.
    More than 10 places are rounded half to even (a token of the cheapest model costs about 1e-8).
    """

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return an integer on SQLite, DECIMAL(20,10) elsewhere."""
        kind = BigInteger() if dialect.name == "sqlite" else Numeric(20, MONEY_PLACES)
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: Decimal | int | None, dialect: Dialect) -> Decimal | int | None:
        """Refuse a float: it is not exact."""
        if value is None:
            return None
        if not isinstance(value, Decimal | int):
            raise TypeError(f"money is a Decimal, not {type(value).__name__}")
        exact = Decimal(value).quantize(_CENT, rounding=ROUND_HALF_EVEN)
        return int(exact.scaleb(MONEY_PLACES)) if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Decimal | int | None, dialect: Dialect) -> Decimal | None:
        """Give back a decimal without trailing zeros."""
        if value is None:
            return None
        return short(Decimal(value).scaleb(-MONEY_PLACES) if dialect.name == "sqlite" else Decimal(value))


def short(usd: Decimal) -> Decimal:
    """Return the same decimal without trailing zeros."""
    shortest = usd.normalize()
    return shortest.quantize(Decimal(1)) if shortest == shortest.to_integral_value() else shortest


class LongText(TypeDecorator[str]):
    """Text up to 4 GiB. A lone surrogate, which no UTF-8 can hold, becomes U+FFFD."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return LONGTEXT on MariaDB, whose TEXT ends at 64 KiB."""
        return _long_text(dialect)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Make the text storable."""
        return None if value is None else storable(value)


class Json(TypeDecorator[Any]):
    """JSON as text; Python's None is NULL.

    Not MariaDB's JSON, which is the same text with a check that refuses what is nested deeper than 32.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return LONGTEXT on MariaDB."""
        return _long_text(dialect)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Write compact JSON; NaN and infinity are refused, they are none."""
        if value is None:
            return None
        return storable(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002
        """Read it."""
        return None if value is None else json.loads(value)


class LongBlob(TypeDecorator[bytes]):
    """Bytes up to 16 MiB, which is also what MariaDB takes in one packet by default."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return MEDIUMBLOB on MariaDB, whose BLOB ends at 64 KiB."""
        return dialect.type_descriptor(LargeBinary() if dialect.name == "sqlite" else mysql.MEDIUMBLOB())


def storable(text: str) -> str:
    """Return text that UTF-8 can hold: halves of a surrogate pair are joined, or replaced when alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _long_text(dialect: Dialect) -> TypeEngine[Any]:
    return dialect.type_descriptor(Text() if dialect.name == "sqlite" else mysql.LONGTEXT())
