"""Agents as models. One rule says what a name means, and it never depends on who else has made what.

1. The name of a role or a pipeline is that role or pipeline; no agent can be given such a name.
2. Any other name is the agent of that name in the caller's space, else the one that is shared with them
   there; where several are, the name alone is refused.
3. `agent:NAME` is an agent whatever NAME is, and `agent:ID` the one with that id.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from api.openai.names import AGENT, NAMES, RESERVED, Name, model_not_found
from contracts.agents import Agent
from contracts.runs import RunOptions
from database.engine import ReadSession
from database.talk import agents
from database.talk.sharing import Reader
from runtime.errors import Conflict, NotFound

PREFIX = "agent:"


@dataclass(frozen=True, slots=True)
class Model:
    """What stands behind a model's name: a pipeline, and the agent that answers in it, if it is one."""

    name: Name
    agent: Agent | None = None

    @property
    def options(self) -> RunOptions:
        """How its runs are started."""
        return RunOptions(agent_id=self.agent.id if self.agent else None)


async def model_named(session: ReadSession, reader: Reader, model: str) -> Model:
    """Return what a request's model is for this reader.

    Raises:
        NotFound: `model_not_found`.
        Conflict: `agent_ambiguous`.
    """
    if (name := NAMES.get(model)) is not None:
        return Model(name)
    asked = model.removeprefix(PREFIX)
    try:
        if model != asked and (agent_id := _id(asked)) is not None:
            return Model(AGENT, await agents.get_agent(session, reader, agent_id))
        return Model(AGENT, await agents.agent_named(session, reader, asked))
    except NotFound:
        raise model_not_found() from None


async def agent_models(session: ReadSession, reader: Reader) -> list[dict[str, Any]]:
    """Return the agents that a reader may use, each under a name that means it."""
    own, shared = await _all(session, reader, shared=False), await _all(session, reader, shared=True)
    mine, theirs = {agent.name for agent in own}, Counter(agent.name for agent in shared)
    found = [described(_name_of(agent), agent) for agent in own]
    for agent in shared:
        alone = agent.name not in mine and theirs[agent.name] == 1
        found.append(described(_name_of(agent) if alone else f"{PREFIX}{agent.id}", agent))
    return found


async def _all(session: ReadSession, reader: Reader, *, shared: bool) -> list[Agent]:
    found: list[Agent] = []
    cursor: str | None = None
    while True:
        page = await agents.list_agents(session, reader, shared=shared, limit=200, cursor=cursor)
        found += page.items
        if (cursor := page.next_cursor) is None:
            return found


def described(model: str, agent: Agent) -> dict[str, Any]:
    """Return an agent as OpenAI's API shows a model."""
    made = int(agent.created_at.timestamp())
    return {"id": model, "object": "model", "created": made, "owned_by": "agents"}


def refuse_reserved(name: str | None) -> None:
    """Do nothing for a name that an agent may have.

    Raises:
        Conflict: `agent_name_taken`, it is a role's or a pipeline's.
    """
    if name in RESERVED:
        raise Conflict(f"{name} is the name of a role or a pipeline.", "agent_name_taken")


def _name_of(agent: Agent) -> str:
    # Also where a later version of the code has a pipeline of that name.
    return f"{PREFIX}{agent.name}" if agent.name in NAMES else agent.name


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
