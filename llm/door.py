"""The door itself: opened once per process, it hands out a `dspy.LM` per role and step."""

import asyncio
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.models import ModelEntry
from contracts.routing import Override, RoleName
from llm.backend import Backend
from llm.cache import AnswerStore, Cache, CachedBackend
from llm.catalogue import entry_of, offline_entry
from llm.engine import AsyncEngine, Place
from llm.ledger import StepCalls
from llm.overriding import overridden
from llm.providers import EMBEDDER, OFFLINE, ROLES, Providers, RatedWeights
from llm.providers_file import read_providers
from llm.routing import Wanted, chain_of
from llm.settings import LlmSettings
from llm.sync_engine import SyncEngine
from runtime.errors import BadInput, MillraceError
from runtime.secret_store.store import SecretStore, open_secrets

if TYPE_CHECKING:
    import dspy

    from llm.connections import Connections
    from llm.deployments import Deployment
    from llm.health import Health
    from llm.router import RouterBackend
    from llm.semantic.embedding import Embedder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RoleHealth:
    """Whether a role can be answered now.

    Args:
        deployments: in the order in which they are asked.
        cooling_down: those of them that are left alone after failures, with the seconds that remain.
        ready: at least one is not cooling down. Nothing is sent to find out, so it costs nothing.
    """

    role: str
    deployments: tuple[str, ...]
    cooling_down: dict[str, float]
    ready: bool


class Door:
    """The only way to a model. Use `Door.open`; close it before its event loop ends.

    Args:
        settings: where the file is.
        secrets: where the keys are.
        place: the event loop of all calls, and their slots.
        cache: answers that may be used again.
    """

    def __init__(
        self, settings: LlmSettings, secrets: SecretStore, place: Place, cache: Cache | None = None
    ) -> None:
        self.cache = cache
        self._path = settings.providers_file
        self._secrets = secrets
        self._place = place
        self._stamp: object = None
        self._reloading = asyncio.Lock()
        self.problem: str | None = None
        self._overrides: list[Override] = []
        self.ignored: list[str] = []
        self._router: RouterBackend | None = None
        self._connections: Connections | None = None
        self._use(*self._read(), None)

    @classmethod
    def open(
        cls,
        settings: LlmSettings | None = None,
        secrets: SecretStore | None = None,
        answers: AnswerStore | None = None,
    ) -> "Door":
        """Open the door on the running event loop, where all calls will be made.

        Args:
            settings: read from the environment when not given.
            secrets: where keys are asked for at each call; as its settings say when not given.
            answers: where answers are kept; without it none is used again.

        With a provider configured that LiteLLM asks, this imports it, which takes seconds: open it when a
        process starts.

        Raises:
            ConfigurationProblem: each mistake in providers.yaml with its line and its remedy.
        """
        settings = settings or LlmSettings()
        place = Place(asyncio.get_running_loop(), asyncio.Semaphore(settings.llm_concurrency))
        cache = None if answers is None else Cache(answers)
        return cls(settings, secrets or open_secrets(), place, cache)

    async def reload(self) -> bool:
        """Take over providers.yaml if it was changed since it was read, and return whether it was.

        Calls under way end as they began. A file with problems changes nothing: the old one stays in use, and
        `problem` and the log say so until it is mended.
        """
        async with self._reloading:
            if self._stamp == _stamp(self._path):
                return False
            try:
                self._use(*await asyncio.to_thread(self._read), self._router)
            except MillraceError as error:
                self.problem = error.message
                _log.warning(
                    "providers.yaml was changed and has problems; the old one stays in use: %s", error
                )
                return False
            self.problem = None
            _log.info("providers.yaml was changed and is in use")
            return True

    def heed(self, overrides: Sequence[Override]) -> None:
        """Let these hold instead of the file's routing; those that cannot are told in `ignored`."""
        if list(overrides) != self._overrides:
            self._overrides = list(overrides)
            self._use(self.file, self._deployments, self._router)

    def _read(self) -> "tuple[Providers, dict[str, Deployment]]":
        """Return the file and its deployments; imports whatever asks them."""
        self._stamp = _stamp(self._path)
        file = read_providers(self._path, self._secrets)
        if not file.enabled():
            return file, {}
        from llm.asking import ready

        return file, ready(file, self._path)

    def _use(
        self, file: Providers, deployments: "dict[str, Deployment]", before: "RouterBackend | None"
    ) -> None:
        """Answer by this file from now on; what is known of the deployments stays known."""
        providers, ignored = overridden(file, self._overrides)
        chains = {role: providers.chain(role) for role in ROLES}
        router = None
        if providers.enabled():
            from llm.connections import Connections
            from llm.health import Health
            from llm.router import RouterBackend

            health = before.health if before is not None else Health(providers)
            self._connections = self._connections or Connections()
            router = RouterBackend(providers, deployments, self._secrets, self._connections, health)
            health.reconfigure(providers)
        for sentence in ignored:
            if sentence not in self.ignored:
                _log.warning("%s", sentence)
        self.file, self.providers, self.ignored = file, providers, ignored
        self._deployments = deployments
        self._chains, self._router = chains, router

    @cached_property
    def _offline(self) -> Backend:
        from llm.offline import OfflineBackend

        return OfflineBackend()

    def lm(self, role: str, calls: StepCalls | None = None, wanted: Wanted | None = None) -> "dspy.LM":
        """Return the model of a role for one step: no cache, no retries, every call journaled in `calls`.

        Args:
            role: `chat`, `analyst`, `judge` or `reflector`.
            calls: the step's journal; none makes direct calls that nobody records.
            wanted: the deployment that is asked before the role's own, or alone.

        Raises:
            BadInput: `unknown_role`; or `unknown_deployment`, one that is not enabled is wanted alone.
        """
        import dspy

        engine = self.engine(role, calls, wanted)
        supports = frozenset[str]()
        if (router := self._router_for(role, wanted)) is not None:
            supports = router.supports(role, wanted)
        return dspy.LM(
            f"millrace/{role}",
            engine=SyncEngine(engine, supports),
            async_engine=engine,
            num_retries=0,
            cache=False,
        )

    def engine(self, role: str, calls: StepCalls | None = None, wanted: Wanted | None = None) -> AsyncEngine:
        """Return what answers requests of a role for one step, for code that is no DSPy program; as `lm`."""
        if role not in self._chains:
            raise BadInput(
                f"there is no role `{role}`; use one of {', '.join(self._chains)}", code="unknown_role"
            )
        backend: Backend = self._offline
        if (router := self._router_for(role, wanted)) is not None:
            backend = (
                router if self.cache is None else CachedBackend(router, self.cache, self._embedder(calls))
            )
        return AsyncEngine(backend, role, calls, self._place, wanted)

    def _router_for(self, role: str, wanted: Wanted | None) -> "RouterBackend | None":
        """Return who asks the providers; none where the built-in model answers."""
        offline = chain_of(self.providers, role, wanted)[0] == OFFLINE
        return None if offline else self._router

    def has(self, deployment: str) -> bool:
        """Return whether a deployment can be asked; `offline` is the built-in model."""
        return deployment in self.deployments()

    def deployments(self) -> list[str]:
        """Return all that can be asked by name."""
        return [*self.providers.enabled(), OFFLINE]

    def _embedder(self, calls: StepCalls | None) -> "Embedder | None":
        """Return what makes vectors of a step's questions; none where no role wants it."""
        if not self.providers.cache.semantic or self._router is None:
            return None
        from llm.semantic.embedding import Embedder
        from llm.semantic.vectors import MODEL, WordHashes

        (name,) = self.providers.chain(EMBEDDER)
        if name == OFFLINE:
            return Embedder(WordHashes(), calls, MODEL)
        told = self.providers.providers[name]
        identity = json.dumps([told.kind, told.model, told.base_url, told.options], sort_keys=True)
        return Embedder(self._router, calls, identity)

    @property
    def seen(self) -> "Health | None":
        """What is known of the deployments; none while the built-in model answers everything."""
        return None if self._router is None else self._router.health

    def describe(self) -> dict[str, tuple[str, ...]]:
        """Return each role's deployments in the order of asking; `offline` is the built-in model."""
        return dict(self._chains)

    def catalogue(self) -> list[ModelEntry]:
        """Return every deployment that may be asked, with its prices; `offline` where it answers."""
        asked: dict[str, list[str]] = {}
        for role, chain in self._chains.items():
            for name in chain:
                asked.setdefault(name, []).append(role)
        for name in self.providers.chain(EMBEDDER):
            if name != OFFLINE:
                asked.setdefault(name, []).append(EMBEDDER)
        listed = [] if self._router is None else list(self._router.deployments.values())
        entries = [entry_of(one, asked.get(one.name, [])) for one in listed]
        return [*entries, *([offline_entry(asked[OFFLINE])] if OFFLINE in asked else [])]

    def rated_roles(self) -> "dict[RoleName, tuple[RatedWeights, tuple[str, ...]]]":
        """Return the roles whose weights ratings may move, each with those that the file routes to."""
        enabled = self.file.enabled()
        routes = {role: self.file.route(role).names() for role in self.file.arena}
        return {
            role: (told, tuple(name for name in routes[role] if name in enabled))
            for role, told in self.file.arena.items()
        }

    def resting(self) -> list[str]:
        """Return the deployments that are left alone now."""
        return [] if self._router is None else list(self._router.cooling_down())

    async def probe(self, name: str) -> bool:
        """Ask a deployment for one token, and return whether it answered."""
        return self._router is not None and await self._router.probe(name)

    async def health(self) -> list[RoleHealth]:
        """Return which roles can be answered now, by what this process has seen."""
        cooling = self._router.cooling_down() if self._router is not None else {}
        return [_health(role, chain, cooling) for role, chain in self._chains.items()]

    async def close(self) -> None:
        """Close all connections to providers."""
        if self._connections is not None:
            from llm import over_litellm

            await self._connections.close()
            await over_litellm.close()


def checked(path: Path, *, look_for_keys: bool = True) -> Providers:
    """Return the file after every check that opening a door with it would make; asks no provider.

    Raises:
        ConfigurationProblem: each mistake with its line and its remedy.
        Unavailable: `secrets_unavailable`.
    """
    providers = read_providers(path, look_for_keys=look_for_keys)
    if providers.enabled():
        from llm.asking import ready

        ready(providers, path)
    return providers


def _health(role: str, chain: tuple[str, ...], cooling: dict[str, float]) -> RoleHealth:
    resting = {name: cooling[name] for name in chain if name in cooling}
    return RoleHealth(role, chain, resting, ready=len(resting) < len(chain))


def _stamp(path: Path) -> object:
    """Return what changes when a file is written; none while it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
