"""The catalogue of pipelines: what each takes and gives, without a line of its code."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ValidationError

from contracts.analysis import AnalysisParams, AnalysisResult
from contracts.arena import ArenaParams, ArenaResult
from contracts.cache_review import CacheReviewParams, CacheReviewResult
from contracts.chat import ChatTurnParams, ChatTurnResult
from contracts.classify import ClassifyParams, ClassifyResult
from contracts.completion import CompletionParams, CompletionResult
from contracts.evaluation import EvaluationParams, EvaluationResult
from contracts.gate import GateParams, GateResult
from contracts.optimization import OptimizeParams, OptimizeResult
from contracts.pollination import PollinateParams, PollinateResult
from contracts.probe import ProbeParams, ProbeResult
from contracts.recompile import RecompileParams, RecompileResult

Pool = Literal["interactive", "batch"]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One pipeline: `name` is also the name of its Prefect flow and of its file under flows/.

    `one_per` names what a run works on, from its parameters and its id, so that no two runs of an owner do so
    at the same time: the key that each run takes by itself, whoever started it.

    `programs` think in it: a run is bound to one version of each when it begins. Where its parameters choose
    among them, `thinks_with` names those of a run: what becomes of it says nothing about the others. One that
    `measures` programs or models takes no part in experiments on them.
    """

    name: str
    title: str
    description: str
    params: type[BaseModel]
    result: type[BaseModel]
    pool: Pool
    programs: tuple[str, ...] = ()
    one_per: Callable[[Any, UUID], str] | None = None
    thinks_with: Callable[[Any], str] | None = None
    measures: bool = False

    def key_of(self, params: Mapping[str, Any], run_id: UUID) -> str | None:
        """Return the concurrency key of a run; none for parameters that its flow will refuse."""
        if self.one_per is None:
            return None
        try:
            return self.one_per(self.params.model_validate(params), run_id)
        except ValidationError:
            return None

    def programs_of(self, params: BaseModel) -> tuple[str, ...]:
        """Return the programs that think in a run with these parameters."""
        return self.programs if self.thinks_with is None else (self.thinks_with(params),)


def _chat(params: ChatTurnParams, run_id: UUID) -> str:
    return f"chat:{params.chat_of(run_id)}"


def _chat_program(params: ChatTurnParams) -> str:
    return params.program


def _one_at_a_time(_params: CacheReviewParams, _run_id: UUID) -> str:
    return "cache-review"


CHAT_TURN = Pipeline(
    name="chat_turn",
    title="Chat turn",
    description="Answer one message of a chat, with its history.",
    params=ChatTurnParams,
    result=ChatTurnResult,
    pool="interactive",
    programs=("chat.direct", "chat.careful"),
    one_per=_chat,
    thinks_with=_chat_program,
)
ANALYSIS = Pipeline(
    name="analysis",
    title="Analysis",
    description="Read documents, analyse each part, and answer one question across all of them.",
    params=AnalysisParams,
    result=AnalysisResult,
    pool="batch",
    programs=("analysis.find", "analysis.merge", "analysis.report"),
)
CLASSIFY = Pipeline(
    name="classify",
    title="Classify",
    description="Say what a support message is about. The example of a program that learns.",
    params=ClassifyParams,
    result=ClassifyResult,
    pool="interactive",
    programs=("support.sort",),
)
COMPLETION = Pipeline(
    name="completion",
    title="Completion",
    description="Pass messages to a role as they are: what stands behind /v1/chat/completions.",
    params=CompletionParams,
    result=CompletionResult,
    pool="interactive",
)
EVALUATION = Pipeline(
    name="evaluation",
    title="Evaluation",
    description="Measure a version of a program on a split of its examples, or two on the same ones.",
    params=EvaluationParams,
    result=EvaluationResult,
    pool="batch",
    measures=True,
)
OPTIMIZE = Pipeline(
    name="optimize",
    title="Optimize",
    description="Look for a better version of a program on its examples, and prove it on the test split.",
    params=OptimizeParams,
    result=OptimizeResult,
    pool="batch",
    measures=True,
)
ARENA = Pipeline(
    name="arena",
    title="Arena",
    description="Let models and versions answer the same tasks, compare them without names, and rate them.",
    params=ArenaParams,
    result=ArenaResult,
    pool="batch",
    measures=True,
)
GATE = Pipeline(
    name="gate",
    title="Gate",
    description="Compare a candidate of a program with its active version, and see it through a decision.",
    params=GateParams,
    result=GateResult,
    pool="batch",
    measures=True,
)
CACHE_REVIEW = Pipeline(
    name="cache_review",
    title="Cache review",
    description="Let the judge look at kept answers that were used for other questions; remove wrong ones.",
    params=CacheReviewParams,
    result=CacheReviewResult,
    pool="batch",
    measures=True,
    one_per=_one_at_a_time,
)
CROSS_POLLINATE = Pipeline(
    name="cross_pollinate",
    title="Cross-pollinate",
    description="Offer what won in one program to related ones; what wins on their own examples is kept.",
    params=PollinateParams,
    result=PollinateResult,
    pool="batch",
    measures=True,
)
RECOMPILE = Pipeline(
    name="recompile",
    title="Recompile",
    description="Take a program to another model, optimize it for that, and compare quality and cost.",
    params=RecompileParams,
    result=RecompileResult,
    pool="batch",
    measures=True,
)
PROBE = Pipeline(
    name="probe",
    title="Probe",
    description="Do next to nothing through every part of the system: for health checks and timings.",
    params=ProbeParams,
    result=ProbeResult,
    pool="interactive",
)

_LEARNING = (EVALUATION, OPTIMIZE, GATE, RECOMPILE, CROSS_POLLINATE, ARENA, CACHE_REVIEW)
_ALL = (CHAT_TURN, ANALYSIS, CLASSIFY, COMPLETION, *_LEARNING, PROBE)
PIPELINES = {pipeline.name: pipeline for pipeline in _ALL}
