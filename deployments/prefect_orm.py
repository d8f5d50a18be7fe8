"""Lets Prefect 3.8's scheduler insert flow runs under SQLAlchemy 2.1.

Prefect inserts scheduled runs in bulk, from dicts that also hold values of hybrid properties (`state`,
`data`) which it writes right after by other means. SQLAlchemy 2.0 ignored such keys. 2.1 asks the property
for a `bulk_dml` function, finds none and raises, so that no schedule ever comes due
(`InvalidRequestError: Can't evaluate bulk DML statement`). The hybrids get one here that leaves the value
out, as 2.0 did; tests/acceptance/test_three_ways_in.py waits for a real schedule.
"""

from collections.abc import MutableMapping
from typing import Any

from prefect.server.database import orm_models
from sqlalchemy.ext.hybrid import HybridExtensionType, hybrid_property
from sqlalchemy.inspection import inspect


def leave_hybrids_out_of_bulk_inserts() -> None:
    """Give every hybrid property of Prefect's tables that lacks one a bulk setter that writes nothing."""
    for model in orm_models.Base.registry.mappers:
        for descriptor in inspect(model).all_orm_descriptors:
            if descriptor.extension_type is not HybridExtensionType.HYBRID_PROPERTY:
                continue
            hybrid: hybrid_property[Any] = descriptor
            if hybrid.bulk_dml_setter is None:
                hybrid.bulk_dml_setter = _leave_out


def _leave_out(cls: Any, mapping: MutableMapping[str, Any], value: Any) -> None:
    """Write nothing."""
