"""The catalogue of pipelines: which programs a run is bound to."""

import pytest

from contracts.analysis import AnalysisParams
from contracts.chat import ChatMode, ChatTurnParams
from contracts.pipelines import ANALYSIS, CHAT_TURN, PIPELINES


@pytest.mark.parametrize("mode", list(ChatMode))
def test_a_turn_is_bound_to_the_program_of_its_mode_alone(mode: ChatMode):
    """The outcome of a careful turn counted for the canary of the direct one."""
    assert CHAT_TURN.programs_of(ChatTurnParams(message="Hi", mode=mode)) == (f"chat.{mode}",)
    assert f"chat.{mode}" in CHAT_TURN.programs


def test_an_analysis_is_bound_to_all_of_its_programs():
    params = AnalysisParams.model_validate({"question": "Why?", "sources": [{"kind": "text", "text": "So."}]})
    assert ANALYSIS.programs_of(params) == ANALYSIS.programs


def test_a_pipeline_that_thinks_with_nothing_is_bound_to_nothing():
    params = PIPELINES["probe"].params()
    assert PIPELINES["probe"].programs_of(params) == ()
