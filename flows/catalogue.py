"""Where each pipeline's flow is: the one list that leads from a name to code."""

from importlib import import_module
from typing import Any

from prefect import Flow

from contracts.pipelines import PIPELINES
from runtime.errors import NotFound


def load_flow(name: str) -> Flow[..., Any]:
    """Return the flow of a pipeline; its file has the pipeline's name, and so has the flow in it."""
    if name not in PIPELINES:
        raise NotFound(f"there is no pipeline {name!r}", code="unknown_pipeline")
    flow: Flow[..., Any] = getattr(import_module(f"flows.{name}"), name)
    return flow
