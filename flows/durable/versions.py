"""Which version of each program a run answers with: looked up with little delay, bound for all attempts."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from contracts.program_states import content_hash, fingerprint_of, refuse_mismatch
from contracts.programs import VersionOrigin
from database.engine import Database
from database.learning.programs import NewProgram, NewVersion, register_programs, version_by_id
from database.learning.serving import Serving, pin_versions, serving_of, ship
from database.patience import outlast
from flows.durable.arms import Experiments
from flows.durable.places import FRESH_SECONDS, canary_place
from flows.durable.run import PinnedProgram, Run
from modules.programs import PROGRAMS, build, signature_of, state_of

KEPT_STATES = 256


@dataclass(frozen=True, slots=True)
class Source:
    """A program as the code ships it."""

    new: NewVersion
    fingerprint: str
    hash: str


class Versions:
    """What answers for each owner's programs, as this process saw it a moment ago."""

    def __init__(self, database: Database) -> None:
        self.experiments = Experiments(database)
        self._database = database
        self._seen: dict[str, tuple[float, dict[str, Serving]]] = {}
        self._kept: OrderedDict[UUID, PinnedProgram] = OrderedDict()
        self._sources: dict[str, Source] = {}
        self._shipped: dict[tuple[str, str], UUID] = {}

    async def register(self) -> None:
        """Tell the registry which programs this code has."""
        programs = [
            NewProgram(
                *(kind.name, kind.title, kind.role, self.source(kind.name).new.signature),
                *(kind.inputs(), list(kind.expects), kind.kind),
            )
            for kind in PROGRAMS.values()
        ]
        await outlast(lambda: self._database.write(register_programs, programs))

    async def pin(self, run: Run, names: tuple[str, ...], subject: str) -> dict[str, PinnedProgram]:
        """Bind a run to one version of each program; a later attempt gets those of the first.

        Args:
            run: the run.
            names: the programs.
            subject: always meets the same side of a canary. The arm of an experiment comes before that.

        Raises:
            Conflict: `signature_changed`, an earlier attempt was bound to a version of other code.
        """
        if not names:
            return {}
        wanted = {name: await self._chosen(run, name, subject) for name in names}
        pinned = await run.write(pin_versions, run.id, wanted)
        return {name: await self._loaded(run.owner, version_id) for name, version_id in pinned.items()}

    async def pin_active(self, run: Run, name: str) -> dict[str, PinnedProgram]:
        """Bind a run to the active version, never to a canary: it is what others are compared with."""
        active, _serving = await self._current(run.owner, name)
        pinned = await run.write(pin_versions, run.id, {name: active})
        return {name: await self._loaded(run.owner, pinned[name])}

    def source(self, name: str) -> Source:
        """Return a program as the code ships it."""
        if name not in self._sources:
            program = build(name)
            state, signature = state_of(program), signature_of(program)
            new = NewVersion(state, signature, VersionOrigin.SOURCE, note="As shipped with the code.")
            self._sources[name] = Source(new, fingerprint_of(signature), content_hash(state))
        return self._sources[name]

    async def _chosen(self, run: Run, name: str, subject: str) -> UUID:
        fingerprint = self.source(name).fingerprint
        if (met := run.arms.get(f"program:{name}")) is not None and met.arm.version_id is not None:
            if met.arm.fingerprint == fingerprint:
                return met.arm.version_id
            # The code has changed since the experiment began: its versions cannot be loaded any more.
            del run.arms[f"program:{name}"]
        active, serving = await self._current(run.owner, name)
        if (
            serving is not None
            and serving.canary is not None
            and serving.canary_fingerprint == fingerprint
            and canary_place(serving.canary, subject) < serving.canary_percent
        ):
            return serving.canary
        return active

    async def _current(self, owner: str, name: str) -> tuple[UUID, Serving | None]:
        """Return the active version, and what may answer beside it; the code's own where nothing fits it."""
        source = self.source(name)
        serving = (await self._serving(owner)).get(name)
        if serving is None or self._outdated(serving, source):
            shipped = await self._ship(owner, name, source)
            serving = (await self._serving(owner)).get(name)
            if serving is None or serving.active_fingerprint != source.fingerprint:
                # A newer code's version is active: this one answers with what it has itself.
                return shipped, None
        return serving.active, serving

    def _outdated(self, serving: Serving, source: Source) -> bool:
        if serving.active_fingerprint != source.fingerprint:
            return True
        return serving.active_origin == VersionOrigin.SOURCE and serving.active_hash != source.hash

    async def _ship(self, owner: str, name: str, source: Source) -> UUID:
        if (owner, name) not in self._shipped:
            version = await outlast(lambda: self._database.write(ship, owner, name, source.new))
            self._shipped[owner, name] = version.id
            self._seen.pop(owner, None)
        return self._shipped[owner, name]

    async def _serving(self, owner: str) -> dict[str, Serving]:
        read_at, found = self._seen.get(owner, (-FRESH_SECONDS, {}))
        if time.monotonic() - read_at >= FRESH_SECONDS:
            at = time.monotonic()
            found = await outlast(lambda: self._read(owner))
            self._seen[owner] = (at, found)
        return found

    async def _read(self, owner: str) -> dict[str, Serving]:
        async with self._database.read() as session:
            return await serving_of(session, owner)

    async def _loaded(self, owner: str, version_id: UUID) -> PinnedProgram:
        if version_id not in self._kept:
            self._kept[version_id] = await outlast(lambda: self._load(owner, version_id))
            while len(self._kept) > KEPT_STATES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(version_id)
        return self._kept[version_id]

    async def _load(self, owner: str, version_id: UUID) -> PinnedProgram:
        async with self._database.read() as session:
            found = await version_by_id(session, owner, version_id)
        refuse_mismatch(found.program, found.signature, self.source(found.program).new.signature)
        return PinnedProgram(found.program, found.id, found.version, found.state, found.deployment)
