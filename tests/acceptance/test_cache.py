"""Questions in other words through a whole stack: seen in shadow mode, judged by a run, told to people."""

import pytest

from tests.fixtures.stack import Stack, eventually

pytestmark = [pytest.mark.stack, pytest.mark.one_database, pytest.mark.timeout(900)]


def ask(stack: Stack, text: str) -> str:
    """Ask the role behind the provider, deterministically; return the run's id."""
    asked = {"role": "judge", "temperature": 0, "messages": [{"role": "user", "content": text}]}
    run = stack.trigger("completion", asked, wait=60)
    assert stack.ended(run["id"])["status"] == "succeeded", stack.logs()
    return str(run["id"])


def test_what_shadow_mode_would_have_answered_is_judged_off_the_hot_path(stack: Stack) -> None:
    question = "Material: a lease lasts 15 seconds. How long does a lease last?"
    ask(stack, question)
    again = ask(stack, f"Hello! {question} Thanks.")

    # The model was asked both times, and the vectors are calls of their runs.
    calls = stack.get(f"/api/v1/runs/{again}/calls")["items"]
    assert sorted((call["kind"], call["role"]) for call in calls) == [
        ("embedding", "embedder"),
        ("model", "judge"),
    ]
    (reuse,) = eventually(lambda: stack.get("/api/v1/cache/reuses")["items"] or None)
    assert (reuse["shadow"], reuse["verdict"], reuse["kept_question"]) == (True, None, question)

    run = stack.trigger("cache_review", {}, wait=60)
    ended = stack.ended(run["id"])

    assert ended["status"] == "succeeded", stack.logs()
    (role,) = ended["result"]["roles"]
    assert (role["role"], role["reviewed"], role["left"]) == ("judge", 1, 0)
    (reuse,) = stack.get("/api/v1/cache/reuses")["items"]
    assert reuse["verdict"] == ("different" if role["disagreed"] else "same")
    (told,) = [one for one in stack.get("/api/v1/cache")["roles"] if one["role"] == "judge"]
    assert (told["shadow"], told["reviewed"], told["pending"]) == (1, 1, 0)
    # Judging is paid and journaled like everything else.
    judged = stack.get(f"/api/v1/runs/{run['id']}/calls")["items"]
    assert [call["step"] for call in judged] == [f"judge[{reuse['id']}]"] * 2
