"""The door itself: opened once per process, it hands out a `dspy.LM` per role and step."""

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm.backend import Backend
from llm.engine import AsyncEngine, Place
from llm.ledger import StepCalls
from llm.providers import OFFLINE, ROLES
from llm.providers_file import read_providers
from llm.settings import LlmSettings
from llm.sync_engine import SyncEngine
from runtime.errors import BadInput, MillraceError

if TYPE_CHECKING:
    import dspy

    from llm.router import RouterBackend


@dataclass(frozen=True, slots=True)
class RoleHealth:
    """Whether a role can be answered now.

    Args:
        deployments: in the order in which they are asked.
        cooling_down: those of them that are left alone after failures, with their cooldown in seconds.
        ready: at least one is not cooling down. Nothing is sent to find out, so it costs nothing.
    """

    role: str
    deployments: tuple[str, ...]
    cooling_down: dict[str, float]
    ready: bool


class Door:
    """The only way to a model. Use `Door.open`; close it before its event loop ends.

    Args:
        chains: role -> deployments in the order in which they are asked.
        router: who asks them; none when no role has any.
        offline: the built-in model; none when every role has a deployment.
        place: the event loop of all calls, and their slots.
    """

    def __init__(
        self,
        chains: dict[str, tuple[str, ...]],
        router: "RouterBackend | None",
        offline: Backend | None,
        place: Place,
    ) -> None:
        self._chains = chains
        self._router = router
        self._offline = offline
        self._place = place

    @classmethod
    def open(cls, settings: LlmSettings | None = None) -> "Door":
        """Open the door on the running event loop, where all calls will be made.

        With a provider configured this imports LiteLLM, which takes seconds: open it when a process starts.

        Raises:
            ConfigurationProblem: each mistake in providers.yaml with its line and its remedy.
        """
        settings = settings or LlmSettings()
        providers = read_providers(settings.providers_file)
        chains = {role: providers.chain(role) for role in ROLES}
        place = Place(asyncio.get_running_loop(), asyncio.Semaphore(settings.llm_concurrency))
        router = offline = None
        if routed := {role: chain for role, chain in chains.items() if chain != (OFFLINE,)}:
            from llm.router import RouterBackend

            router = RouterBackend(providers, settings.providers_file, routed)
        if len(routed) < len(chains):
            from llm.offline import OfflineBackend

            offline = OfflineBackend()
        return cls(chains, router, offline, place)

    def lm(self, role: str, calls: StepCalls | None = None) -> "dspy.LM":
        """Return the model of a role for one step: no cache, no retries, every call journaled in `calls`.

        Args:
            role: `chat`, `analyst`, `judge` or `reflector`.
            calls: the step's journal; none makes direct calls that nobody records.

        Raises:
            BadInput: `unknown_role`.
        """
        import dspy

        if role not in self._chains:
            raise BadInput(
                f"there is no role `{role}`; use one of {', '.join(self._chains)}", code="unknown_role"
            )
        backend: Backend | None = self._offline
        supports: frozenset[str] = frozenset()
        if self._chains[role] != (OFFLINE,) and self._router is not None:
            backend, supports = self._router, self._router.supports(role)
        if backend is None:
            raise MillraceError(f"role `{role}` has nobody to answer it", code="no_backend")
        engine = AsyncEngine(backend, role, calls, self._place)
        return dspy.LM(
            f"millrace/{role}",
            engine=SyncEngine(engine, supports),
            async_engine=engine,
            num_retries=0,
            cache=False,
        )

    def describe(self) -> dict[str, tuple[str, ...]]:
        """Return each role's deployments in the order of asking; `offline` is the built-in model."""
        return dict(self._chains)

    async def health(self) -> list[RoleHealth]:
        """Return which roles can be answered now, by what this process has seen."""
        cooling = await self._router.cooling_down() if self._router is not None else {}
        return [_health(role, chain, cooling) for role, chain in self._chains.items()]

    async def close(self) -> None:
        """Close all connections to providers."""
        if self._router is not None:
            await self._router.close()


def _health(role: str, chain: tuple[str, ...], cooling: dict[str, float]) -> RoleHealth:
    resting = {name: cooling[name] for name in chain if name in cooling}
    return RoleHealth(role, chain, resting, ready=len(resting) < len(chain))
