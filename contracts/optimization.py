"""Optimization: a program in, a better version of it out, or the proof that none was found."""

from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from contracts.budgets import CapUsd
from contracts.evaluation import METRIC_PATTERN, Comparison, VersionScore
from contracts.examples import Split


def _named(schema: dict[str, Any]) -> None:
    schema["required"] = ["name", *schema.get("required", [])]


def _any_of(schema: dict[str, Any]) -> None:
    # Prefect's form knows no `oneOf`; each names itself, so still only one fits.
    schema["anyOf"] = schema.pop("oneOf")
    del schema["discriminator"]


class _Optimizer(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra=_named)


class Labeled(_Optimizer):
    """Examples as demos, taken by chance. No model call."""

    name: Literal["labeled"] = "labeled"
    demos: int = Field(16, ge=1, le=200)


class Bootstrap(_Optimizer):
    """Demos from the program's own good answers, and labeled ones beside them."""

    name: Literal["bootstrap"] = "bootstrap"
    bootstrapped: int = Field(4, ge=1, le=100)
    labeled: int = Field(16, ge=0, le=200)
    rounds: int = Field(1, ge=1, le=10)


class BootstrapRandomSearch(_Optimizer):
    """Several bootstraps on shuffled examples; the best on the validation split."""

    name: Literal["bootstrap_random_search"] = "bootstrap_random_search"
    candidates: int = Field(6, ge=1, le=100)
    bootstrapped: int = Field(4, ge=1, le=100)
    labeled: int = Field(16, ge=0, le=200)


class Mipro(_Optimizer):
    """Instructions that the role `reflector` proposes and sets of demos, combined by Bayesian search."""

    name: Literal["mipro"] = "mipro"
    candidates: int = Field(4, ge=2, le=50)
    trials: int = Field(8, ge=1, le=500)
    bootstrapped: int = Field(4, ge=0, le=100)
    labeled: int = Field(8, ge=0, le=200)


class Gepa(_Optimizer):
    """Instructions that the role `reflector` rewrites after looking at what went wrong."""

    name: Literal["gepa"] = "gepa"
    metric_calls: int = Field(200, ge=10, le=100_000)
    minibatch: int = Field(3, ge=1, le=50)


class Simba(_Optimizer):
    """Demos and rules from the examples on which the program's answers differ most."""

    name: Literal["simba"] = "simba"
    batch: int = Field(16, ge=2, le=200)
    candidates: int = Field(4, ge=2, le=50)
    steps: int = Field(4, ge=1, le=100)
    demos: int = Field(8, ge=0, le=100)


class Copro(_Optimizer):
    """Instructions that the role `reflector` proposes, refined from round to round."""

    name: Literal["copro"] = "copro"
    breadth: int = Field(4, ge=2, le=50)
    depth: int = Field(2, ge=1, le=20)


Optimizer = Annotated[
    Labeled | Bootstrap | BootstrapRandomSearch | Mipro | Gepa | Simba | Copro,
    Field(discriminator="name", json_schema_extra=_any_of),
]


def usual_optimizers() -> "list[Optimizer]":
    """Return what is run when nobody says it."""
    return [BootstrapRandomSearch()]


class OptimizeParams(BaseModel):
    """What to improve, how, and what that may take."""

    model_config = ConfigDict(extra="forbid")

    program: str = Field(max_length=100, examples=["support.sort"])
    version: int | None = Field(None, ge=1, description="What to start from; none is the active version.")
    optimizers: list[Optimizer] = Field(
        default_factory=usual_optimizers,
        min_length=1,
        max_length=7,
        description="Several are raced: each gets an equal share of the caps, and the best one wins.",
    )
    metric: str = Field("exact", max_length=200, pattern=METRIC_PATTERN, description="As of an evaluation.")
    deployment: str | None = Field(
        None,
        min_length=1,
        max_length=64,
        description="A deployment of config/providers.yaml to optimize for: it alone answers, and the"
        " candidate is made for it. None: that of the version to start from.",
    )
    cap_usd: CapUsd | None = Field(
        None, description="Of all calls of the run: it stops before the one that could pass it."
    )
    cap_calls: int | None = Field(None, ge=1, le=1_000_000, description="Model calls of the run.")
    cap_minutes: float | None = Field(None, gt=0, le=10_080, description="From the first attempt's start.")
    below_estimate: bool = Field(
        False,
        description="Run although a cap is below the estimate; the best that was found up to it is kept.",
    )
    most_train: int = Field(200, ge=1, le=10_000)
    most_validation: int = Field(100, ge=1, le=10_000)
    at_once: int = Field(8, ge=1, le=64, description="Examples that are answered at the same time.")
    seed: int = Field(0, ge=0, le=2**31 - 1)
    gate: bool = Field(
        default=True,
        description="Let the gate compare what was found with the active version, and recommend it, in a run"
        " of its own that waits for the decision. Its cap is `cap_usd` too.",
    )


class Work(BaseModel):
    """What a part of an optimization takes, by what such calls took lately."""

    name: str = Field(description="An optimizer, or `measuring`: base and candidates on the splits.")
    calls: int
    usd: Decimal | None = Field(description="None while no call of a role in it has a known price.")
    least_usd: Decimal = Field(Decimal(0), description="Of those of its calls whose price is known.")
    seconds: float | None = Field(description="None while a role in it has made no call.")


class OptimizationEstimate(BaseModel):
    """What an optimization takes, by what such calls took lately."""

    examples: dict[Split, int] = Field(description="To use, near-duplicates left out.")
    parts: list[Work]
    calls: int = Field(description="Of all parts.")
    usd: Decimal | None
    seconds: float | None = Field(
        description="The optimizers run at the same time. The least `cap_minutes`, in seconds."
    )
    needed_calls: int = Field(
        description="The least `cap_calls`: optimizers have equal shares, so the one that needs most decides."
    )
    needed_usd: Decimal | None = Field(
        description="The least `cap_usd`; of the calls whose price is known, none while no price is."
    )


class OptimizerReport(BaseModel):
    """What one optimizer came to."""

    name: str
    validation: float | None = Field(description="Score of its program; none when it gave none.")
    content_hash: str | None = Field(description="Of its program's state.")
    calls: int = Field(description="Model calls, those that the ledger answered among them.")
    usd: Decimal
    stopped: Literal["usd", "calls", "minutes"] | None = Field(
        description="The cap that ended it; its best so far was kept."
    )
    error: str | None = Field(None, description="Why it gave nothing.")


class OptimizeResult(BaseModel):
    """What came out."""

    program: str
    base_version: int
    version: int | None = Field(description="The new candidate; none when nothing was better.")
    version_id: UUID | None
    optimizer: str | None = Field(description="Which one made it.")
    base_validation: float | None = Field(description="None when a cap kept it from being measured.")
    optimizers: list[OptimizerReport]
    test: list[VersionScore] = Field(
        default_factory=list, description="Candidate and base on the untouched test split."
    )
    comparison: Comparison | None = None
    evaluation_id: UUID | None = Field(
        None, description="Of the proof on the test split: `GET /evaluations/{id}/results` has each example."
    )
    deployment: str = Field("", description="Who answered alone; empty: as the role's route says.")
    stopped: Literal["usd", "calls", "minutes"] | None = Field(
        None, description="The cap that ended the measuring: the best so far is kept without its proof."
    )
    gate_run_id: UUID | None = Field(
        None, description="The run of the gate; none when nothing was better, or it answers a share already."
    )
    recommendation_id: UUID | None = Field(
        None, description="What the gate will say about it, as soon as it has compared."
    )
    left_out: int = Field(0, description="Near-duplicates that were left out of the splits.")
    models: list[str]
