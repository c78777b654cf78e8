"""A method that is a command of others: the stages that fill a cell with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from harness.datasets.part import timed_video
from harness.errors import DataUnavailableError
from harness.external.config import PickConfig, Program, SegmentConfig, TrainConfig, worker_file
from harness.external.definition import Definition, options_type, read_definition
from harness.external.find import find_files, find_repository, find_runner
from harness.external.sources import file_digest
from harness.fingerprint import text_digest
from harness.method import CellPlan, CellRequest
from harness.stage import Data, Resources, Stage

_GIGABYTE = 1e9


@dataclass(frozen=True)
class ExternalMethod:
    """A method that a study defines by its command."""

    name: str
    label: str
    config: type[BaseModel]
    definition: Definition
    origin: str
    """Says in errors where the definition is."""

    def plan(self, request: CellRequest) -> CellPlan:
        """Plan training, if there is a command for it, one call per sequence or for all, and the timing.

        Raises CommandError if anything that the definition names is not there, DataUnavailableError without the data
        that training needs."""
        definition = self.definition
        needs = {"trained": self._training(request)} if definition.train else {}
        of_command, _ = self._names
        late = any(len(data.value.prompts) > 1 for data in request.sequences.values())
        config = SegmentConfig(
            program=self._program(definition.command, of_command, request.config),
            per=definition.per,
            frames=definition.frames,
            late_objects=definition.late_objects if late else "separate",  # nothing reads it without late objects
            seed=request.seed if "seed" in of_command else None,
        )
        common: dict[str, Any] = {"config": config, "needs": needs, "resources": self._resources(request)}
        if definition.per == "sequence":
            segment = {
                name: Stage(
                    name="segment",
                    label=f"segment {data.name} with {self.name}",
                    run="harness.external.stages:segment",
                    data={**self._data["command"], "video": data},
                    **common,
                )
                for name, data in request.sequences.items()
            }
        else:
            segment = self._picked(request, common)
        return CellPlan(segment=segment, timing=self._timing(request, common) if definition.timed else None)

    @cached_property
    def _names(self) -> tuple[frozenset[str], frozenset[str]]:
        return self.definition.names(self.origin)

    @cached_property
    def _data(self) -> Mapping[str, Mapping[str, Data]]:
        """`command` and `train` → role → what that command consists of, as it is at the first plan."""
        definition, origin = self.definition, self.origin
        repository, files = find_repository(definition, origin), find_files(definition, origin)
        commit, _, changes = repository.commit.partition("+")
        state = f"{commit[:12]} with changes" if changes else commit[:12] or "without git"
        common = {
            "repository": Data(
                name=f"{repository.path.name} {state}" if repository.path else "no folder",
                digest=repository.digest,
                value=repository,
            ),
            "files": Data(
                name=", ".join(path.name for path in files.paths) or "no files",
                digest=text_digest("\n".join(files.digests)),
                value=files,
            ),
        }
        found = {}
        for key, template in (("command", definition.command), ("train", definition.train)):
            if template:
                runner = find_runner(definition, template, origin, key)
                found[key] = {"runner": Data(name=runner.about, digest=runner.digest, value=runner), **common}
        return found

    def _program(self, template: str, names: frozenset[str], config: BaseModel) -> Program:
        definition = self.definition
        options = {name: value for name, value in dict(config).items() if name in names}
        runners = ("container", "conda", "python")
        return Program(
            template=template,
            shell=definition.shell,
            runner=next((name for name in runners if getattr(definition, name) is not None), "none"),
            options=options,
            environment=definition.environment,
            worker=file_digest(worker_file()) if "worker" in names else "",
        )

    def _training(self, request: CellRequest) -> Stage:
        definition = self.definition
        assert definition.train is not None
        role = definition.training
        videos = request.training.get(role)
        if videos is None:
            raise DataUnavailableError(f"{self.name}: {request.missing.get(role, f'no data for {role}')}")
        _, of_train = self._names
        config = TrainConfig(
            program=self._program(definition.train, of_train, request.config),
            frames=definition.frames,
            seed=request.seed if "seed" in of_train else None,
        )
        return Stage(
            name="train",
            label=f"train {self.name} on {videos.name}",
            run="harness.external.stages:train",
            config=config,
            data={**self._data["train"], "videos": videos},
            resources=self._resources(request),
        )

    def _picked(self, request: CellRequest, common: Mapping[str, Any]) -> dict[str, Stage]:
        """Return a stage per sequence that takes its masks out of one call for all."""
        sequences = request.sequences
        benchmark = next(iter(sequences.values())).name.partition("/")[0]
        together = Data(
            name=benchmark,
            digest=text_digest("\n".join(data.digest for data in sequences.values())),
            value=tuple(data.value for data in sequences.values()),
        )
        call = Stage(
            name="segment",
            label=f"segment {benchmark} with {self.name}",
            run="harness.external.stages:segment_all",
            data={**self._data["command"], "videos": together},
            **common,
        )
        return {
            name: Stage(
                name="pick",
                label=f"masks of {data.name} by {self.name}",
                run="harness.external.stages:pick",
                config=PickConfig(sequence=data.value.name),
                needs={"all": call},
            )
            for name, data in sequences.items()
        }

    def _timing(self, request: CellRequest, common: Mapping[str, Any]) -> Stage:
        """Return the stage that times a call on one sequence (`timed_video`), with no other stage on its machine."""
        median = timed_video({name: data.value for name, data in request.sequences.items()})
        return Stage(
            name="time",
            label=f"time {self.name} on {median}",
            run="harness.external.stages:measure",
            data={**self._data["command"], "video": request.sequences[median]},
            machine=request.machine,
            **{**common, "resources": self._resources(request, exclusive=True)},
        )

    def _resources(self, request: CellRequest, *, exclusive: bool = False) -> Resources:
        definition = self.definition
        gpus = request.gpus if definition.gpus is None else definition.gpus
        return Resources(
            cpus=definition.cpus,
            gpus=gpus,
            memory=definition.memory * _GIGABYTE,
            time_limit=definition.time_limit,
            exclusive=exclusive,
        )


def define(name: str, definition: Mapping[str, Any], origin: str, file: Path) -> ExternalMethod:
    """Return the method that a definition with the key `command` describes. Raises StudyError."""
    found = read_definition(definition, origin, file)
    return ExternalMethod(
        name=name, label=found.label or name, config=options_type(found, name), definition=found, origin=origin
    )
