"""Fixtures of the tests of what programs learn."""

from tests.fixtures.gate_stage import stage

__all__ = ["stage"]
