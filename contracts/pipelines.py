"""The catalogue of pipelines: what each takes and gives, without a line of its code."""

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from contracts.analysis import AnalysisParams, AnalysisResult
from contracts.chat import ChatTurnParams, ChatTurnResult
from contracts.probe import ProbeParams, ProbeResult

Pool = Literal["interactive", "batch"]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline: `name` is also the name of its Prefect flow and of its file under flows/."""

    name: str
    title: str
    description: str
    params: type[BaseModel]
    result: type[BaseModel]
    pool: Pool


CHAT_TURN = Pipeline(
    name="chat_turn",
    title="Chat turn",
    description="Answer one message of a chat, with its history.",
    params=ChatTurnParams,
    result=ChatTurnResult,
    pool="interactive",
)
ANALYSIS = Pipeline(
    name="analysis",
    title="Analysis",
    description="Read documents, analyse each part, and answer one question across all of them.",
    params=AnalysisParams,
    result=AnalysisResult,
    pool="batch",
)
PROBE = Pipeline(
    name="probe",
    title="Probe",
    description="Do next to nothing through every part of the system: for health checks and timings.",
    params=ProbeParams,
    result=ProbeResult,
    pool="interactive",
)

PIPELINES = {pipeline.name: pipeline for pipeline in (CHAT_TURN, ANALYSIS, PROBE)}
