"""What won in one program is tried by its relatives on their own examples, and kept where it wins."""

from collections.abc import AsyncIterator
from typing import Any

import dspy
import pytest

from contracts.classify import Label
from contracts.examples import NewExample
from contracts.pollination import Pollinated, PollinateParams, PollinateResult
from contracts.programs import VersionOrigin
from database.engine import Database
from database.learning.examples import import_examples
from database.learning.programs import NewVersion, add_version, version_by_id
from flows.cross_pollinate import cross_pollinate, winner
from flows.durable.run import Run
from modules.program import Program, Thought
from modules.programs import PROGRAMS, Kind, build, signature_of, state_of
from runtime.errors import BadInput
from tests.fixtures.pipelines_in_process import engine_of, running
from tests.fixtures.prefect_server import PrefectServer
from tests.fixtures.shipped_examples import NAME, Split, shipped

# Prefect closes the sockets of its event client late, in a thread of its own.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.timeout(300),
]
TRIAGE = "support.triage"


class Triage(dspy.Signature):
    """Say which desk takes a letter."""

    letter: str = dspy.InputField(desc="What was written.")
    message: str = dspy.InputField(desc="Its first lines.")
    label: Label = dspy.OutputField(desc="The desk.")


class TriageLetter(Program):
    """A program of somebody else that gives the same labels."""

    def __init__(self) -> None:
        super().__init__()
        self.triage = dspy.Predict(Triage)

    def think(self, message: str, letter: str = "") -> Thought:
        """Name the desk."""
        answer = yield self.triage, {"message": message, "letter": letter}
        return dspy.Prediction(label=answer.label)


@pytest.fixture
async def run(database: Database, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """A claimed run in this process, where a relative of the example program is registered."""
    kind = Kind(TRIAGE, "analyst", "Say which desk takes a letter", TriageLetter, ("label",))
    monkeypatch.setitem(PROGRAMS, TRIAGE, kind)
    async with running(database, tmp_path) as found:
        yield found


async def learned(run: Run, *, with_demos: bool) -> int:
    """Store a version of the example program, with the demos of its training split or as it ships."""
    state = state_of(build(NAME))
    if with_demos:
        state["sort"]["demos"] = [{**one.inputs, **one.expected} for one in shipped(Split.TRAIN, 40)]
    new = NewVersion(state, signature_of(build(NAME)), VersionOrigin.IMPORT)
    version, _ = await run.database.write(add_version, "local", NAME, new)
    return version.version


async def own_examples(run: Run, most: int) -> None:
    """Give the relative examples of its own."""
    found = [
        NewExample(inputs={"message": one.inputs["message"], "letter": ""}, expected=one.expected)
        for split in Split
        for one in shipped(split, most)
    ]
    await run.database.write(import_examples, "local", TRIAGE, found)


async def pollinated(server: PrefectServer, **params: Any) -> PollinateResult:
    """Execute the pipeline in Prefect's engine."""
    with engine_of(server):
        return await cross_pollinate(PollinateParams(program=NAME, gate=False, **params))


def of(result: PollinateResult, name: str = TRIAGE) -> Pollinated:
    (found,) = [one for one in result.programs if one.program == name]
    return found


async def test_demos_that_won_become_a_candidate_of_a_relative_where_they_win(
    run: Run, prefect_server: PrefectServer
) -> None:
    origin = await learned(run, with_demos=True)
    await own_examples(run, 60)
    found = of(await pollinated(prefect_server, version=origin))
    assert found.adopted == "demos"
    assert [(one.kind, one.from_predictor, one.to_predictor) for one in found.offers] == [
        ("demos", "sort", "triage")
    ]
    assert found.base_score is not None
    assert (found.offers[0].score or 0) > found.base_score
    assert found.version_id is not None
    async with run.database.read() as session:
        version = await version_by_id(session, "local", found.version_id)
    assert (version.status, version.origin, version.origin_run_id) == ("candidate", "transfer", run.id)
    assert version.scores is not None
    assert version.scores["origin"]["program"] == NAME
    assert version.scores["origin"]["version_id"] == str(version.offered_by)
    assert version.state["triage"]["demos"][0].keys() == {"message", "label"}
    assert version.parent_id is not None


async def test_where_nothing_was_learned_or_nothing_can_be_tested_nothing_changes(
    run: Run, prefect_server: PrefectServer
) -> None:
    shipped_as_it_is = await learned(run, with_demos=False)
    nothing = of(await pollinated(prefect_server, version=shipped_as_it_is))
    assert "has learned nothing" in (nothing.skipped or "")
    assert (nothing.version, nothing.offers) == (None, [])


async def test_without_examples_of_its_own_a_relative_takes_nothing_over(
    run: Run, prefect_server: PrefectServer
) -> None:
    found = of(await pollinated(prefect_server, version=await learned(run, with_demos=True)))
    assert "0 examples of its own" in (found.skipped or "")
    assert found.version is None


async def test_a_stranger_is_refused_by_name(run: Run, prefect_server: PrefectServer) -> None:
    number = await learned(run, with_demos=True)
    with pytest.raises(BadInput, match="chat.direct is not related to support.sort") as caught:  # noqa: RUF043
        await pollinated(prefect_server, version=number, targets=["chat.direct"])
    assert caught.value.code == "not_related"


def test_the_best_offer_wins_only_if_it_is_better_than_what_is_there():
    assert winner(0.5, [0.5, 0.4]) is None
    assert winner(0.5, [0.6, 0.7, 0.7]) == 1
    assert winner(0.5, [None, 0.6]) == 1
    assert winner(None, [0.9]) is None
