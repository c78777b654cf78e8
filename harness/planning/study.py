"""A study file as a value: which variants of which methods, on which benchmarks, with which seeds, at which scale."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SkipValidation

from harness.config import Config, merged, nested, resolve
from harness.datasets import TRAINING_ROLES, load_training_sets
from harness.errors import ResourceError, StudyError
from harness.method import Method, define_method, find_method
from harness.yaml_file import parse_yaml, read_yaml

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_NAMES = "1 to 100 letters, digits, '.', '_' and '-', the first a letter or digit"
"""Rule for the names of studies and variants, which become names of files and parts of commands."""

_VARIANT_KEYS = ("method", "benchmarks", "training_sets")


class Scale(Config):
    """How large everything is: the options of every method, and what it takes to run them."""

    name: str
    data: Literal["embedded", "real"] = "embedded"
    """Data that it is meant for; `--data` decides what it gets."""

    requires_gpu: bool = False
    """Whether the study is refused without a GPU, unless the user insists."""

    gpus: float = Field(default=0.0, ge=0)
    """GPUs for each stage that can use one, if the machine has any."""

    time_limit: float | None = Field(default=None, gt=0)
    """Seconds for one attempt at a stage; one that takes longer is killed and retried twice. None: no limit."""

    hours_note: str = ""
    """Text that says how long it takes on which hardware; shown before a long run."""

    methods: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Method → its options at this scale."""


class Variant(Config):
    """One row of a study's tables: a method with a config."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    method: str
    implementation: SkipValidation[Method]
    """The method of that name: an installed one, or one that the study defines."""

    benchmarks: tuple[str, ...]
    training_sets: dict[str, str] = Field(default_factory=dict)
    """`pretraining` or `offline` → training set, instead of the one that a benchmark names."""

    options: dict[str, Any]
    """What the study gives for the method: options, nested, and `training_sets`."""

    config: BaseModel
    """Config of the method's own type: the scale's options updated with the variant's."""


class Study(Config):
    """A study file, checked and resolved."""

    name: str
    question: str
    scale: Scale
    benchmarks: tuple[str, ...]
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]


class _StudyFile(Config):
    name: str
    question: str = ""
    method: str
    methods: tuple[tuple[str, dict[str, Any]], ...] = ()
    """Name → definition of the methods that are the study's own."""

    scale: str = "mini"
    benchmarks: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    variants: tuple[tuple[str, dict[str, Any]], ...] = Field(min_length=1)


def study_name(study: str) -> str:
    """Return the name in a study's YAML file, or the text itself if it is no such file. Raises StudyError."""
    path = Path(study)
    name = read_yaml(path).get("name") if path.suffix in {".yaml", ".yml"} else study
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StudyError(f"{study}: name {name!r}; a study's file or name expected: {_NAMES}")
    return name


def load_study(
    path: Path,
    benchmarks: Mapping[str, Any],
    scale: str | None = None,
    scales: Path | None = None,
    options: Mapping[str, Any] | None = None,
    root: Path | None = None,
) -> Study:
    """Return the study in a file, at `scale` or else at its own.

    `benchmarks`: those that exist, by name. `options` of the study's method update the scale's, for all variants.
    `root`: the data root, whose descriptions may add training sets. Raises StudyError naming file, key, what was found
    and what is allowed."""
    content = read_yaml(path)
    for key in {"variants", "methods"} & content.keys():
        content[key] = _pairs(content[key], f"{path}: {key}")
    file = resolve(_StudyFile, content, str(path))
    _check_names((file.name, *(name for name, _ in file.variants)), path)
    _check_benchmarks(file.benchmarks, benchmarks, f"{path}: benchmarks")
    if len(set(file.seeds)) < len(file.seeds):
        raise StudyError(f"{path}: seeds: {list(file.seeds)} names one twice")
    size = load_scale(scale or file.scale, f"{path}: scale", scales)
    defined = _defined(file.methods, path)
    if options:
        laid_over = merged(nested(size.methods.get(file.method, {}), f"scale {size.name}"), nested(options, "--option"))
        resolve(find_method(file.method, f"{path}: method", defined).config, laid_over, "--option")
        size = size.model_copy(update={"methods": {**size.methods, file.method: laid_over}})
    opened: dict[str, dict[str, Any]] = {}
    variants = tuple(
        _variant(name, options, file, size, opened, benchmarks, path, defined, root) for name, options in file.variants
    )
    return Study(
        name=file.name,
        question=file.question,
        scale=size,
        benchmarks=file.benchmarks,
        seeds=file.seeds,
        variants=variants,
    )


def load_methods(path: Path) -> dict[str, Method]:
    """Return the methods that a file, of a study or not, defines under `methods`. Raises StudyError."""
    methods = _pairs(read_yaml(path).get("methods", {}), f"{path}: methods")
    if not methods:
        raise StudyError(f"{path}: no methods found; expected definitions under the key `methods`")
    return _defined(methods, path)


def load_scale(name: str, origin: str, scales: Path | None = None) -> Scale:
    """Return the scale of that name. `origin` says in errors where the name is from. Raises StudyError."""
    folder = scales or shipped_studies() / "scales"
    path = folder / f"{name}.yaml"
    if not path.is_file():
        allowed = ", ".join(sorted(file.stem for file in folder.glob("*.yaml"))) or "none"
        raise StudyError(f"{origin}: unknown scale {name!r}; in {folder}: {allowed}")
    scale = resolve(Scale, read_yaml(path), str(path))
    if scale.name != name:
        raise StudyError(f"{path}: name: found {scale.name!r}; expected {name!r}, the file's")
    for method, options in scale.methods.items():
        resolve(find_method(method, f"{path}: methods").config, options, f"{path}: methods.{method}")
    return scale


def check_scale(scale: Scale, gpus: int, *, insist: bool) -> None:
    """Raise ResourceError for a scale that needs a GPU where there is none, unless the user insists."""
    if scale.requires_gpu and not gpus and not insist:
        raise ResourceError(
            f"scale {scale.name} is made for a GPU, and none was found; it takes {scale.hours_note or 'very long'}. "
            "Choose a smaller --scale, or go on with --yes"
        )


def parse_options(texts: Iterable[str]) -> dict[str, Any]:
    """Return the options in `KEY=VALUE` texts, with values as YAML reads them. Raises StudyError."""
    options: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or key in options:
            raise StudyError(f"--option {text}: expected KEY=VALUE, each key once")
        options[key] = parse_yaml(value, f"--option {text}")
    return options


def shipped_studies() -> Path:
    """Return the folder of the studies and scales that come with the project."""
    return Path(str(resources.files("studies")))


def _pairs(variants: Any, origin: str) -> list[tuple[str, dict[str, Any]]]:
    """Return name and options of variants or methods. No mapping: dots in their names (`omega-0.95`) do not nest."""
    if not isinstance(variants, dict):
        raise StudyError(f"{origin}: found {variants!r}; expected a mapping of names to options")
    for name, options in variants.items():
        if not isinstance(options, dict | None) or not isinstance(name, str):
            raise StudyError(f"{origin}.{name}: found {options!r}; expected a mapping of options under a name")
    return [(name, options or {}) for name, options in variants.items()]


def _defined(methods: Iterable[tuple[str, dict[str, Any]]], path: Path) -> dict[str, Method]:
    """Return name → method of the definitions in a file."""
    methods = tuple(methods)
    _check_names((name for name, _ in methods), path)
    return {name: define_method(name, content, f"{path}: methods.{name}", path) for name, content in methods}


def _check_names(names: Iterable[str], path: Path) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise StudyError(f"{path}: name {name!r}; allowed are {_NAMES}")


def _variant(
    name: str,
    given: Mapping[str, Any],
    file: _StudyFile,
    scale: Scale,
    opened: dict[str, dict[str, Any]],
    benchmarks: Mapping[str, Any],
    path: Path,
    defined: Mapping[str, Method],
    root: Path | None,
) -> Variant:
    """Return a variant. `opened`: memory of the scale's options by method, nested; `defined`: the study's methods."""
    origin = f"{path}: variants.{name}"
    method_name = given.get("method", file.method)
    chosen = given.get("benchmarks", list(file.benchmarks))
    if not isinstance(method_name, str):
        raise StudyError(f"{origin}.method: found {method_name!r}; expected the name of a method")
    if not isinstance(chosen, list) or not chosen:
        raise StudyError(f"{origin}.benchmarks: found {chosen!r}; expected a list of benchmarks")
    _check_benchmarks(chosen, benchmarks, f"{origin}.benchmarks")
    training_sets = _training_sets(given.get("training_sets", {}), f"{origin}.training_sets", root)
    method = find_method(method_name, origin, defined)
    options = nested({key: value for key, value in given.items() if key not in _VARIANT_KEYS}, origin)
    if method_name not in opened:
        opened[method_name] = nested(scale.methods.get(method_name, {}), f"scale {scale.name}: methods.{method_name}")
    config = resolve(method.config, merged(opened[method_name], options), origin)
    return Variant(
        name=name,
        method=method_name,
        implementation=method,
        benchmarks=tuple(chosen),
        training_sets=training_sets,
        options=options | ({"training_sets": training_sets} if training_sets else {}),
        config=config,
    )


def _training_sets(given: Any, origin: str, root: Path | None) -> dict[str, str]:
    if given == {}:
        return {}
    known = load_training_sets(root=root)
    if not isinstance(given, dict) or not all(
        role in TRAINING_ROLES and isinstance(name, str) and name in known for role, name in given.items()
    ):
        roles, names = " or ".join(TRAINING_ROLES), ", ".join(sorted(known))
        raise StudyError(f"{origin}: found {given!r}; expected {roles}, each with one of these: {names}")
    return given


def _check_benchmarks(names: tuple[str, ...] | list[Any], known: Mapping[str, Any], origin: str) -> None:
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise StudyError(f"{origin}: unknown benchmark {name!r}; allowed: {', '.join(sorted(known))}")
    if len(set(names)) < len(names):
        raise StudyError(f"{origin}: {list(names)} names one twice")
