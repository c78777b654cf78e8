"""Code that no name in a source leads to is in a key, or the plan says that it is not. Each case is a small package."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INIT = {"plug/__init__.py": ""}
RUN = "plug.stages:train"


def reached(folder: Path, files: dict[str, str], run: str = RUN, entries: str = "") -> dict[str, Any]:
    """Return what a fresh process finds out about the package in these files."""
    for name, text in {**INIT, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    program = (
        "import json, sys; from harness.fingerprint import reached_code;"
        "code = reached_code(sys.argv[1], frozenset(sys.argv[2].split()));"
        "print(json.dumps([dict(code.digests), code.notes, sorted(code.libraries)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, run, entries],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parent.parent)])},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    digests, notes, libraries = json.loads(done.stdout)
    return {"digests": digests, "notes": notes, "libraries": libraries}


def differs(tmp_path: Path, files: dict[str, str], file: str, old: str, new: str, **options: str) -> set[str]:
    """Return the names whose digest a change of one file changes."""
    assert old in files[file]
    before = reached(tmp_path, files, **options)["digests"]
    after = reached(tmp_path, {file: files[file].replace(old, new)}, **options)["digests"]
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


DECORATED = {
    "plug/registry.py": "TABLE = {}\ndef register(f):\n    TABLE[f.__name__] = f\n    return f\n",
    "plug/models.py": (
        "from plug.registry import register\n@register\ndef net():\n    return 1\ndef other():\n    return 1\n"
    ),
    "plug/stages.py": (
        "import plug.models\nfrom plug.registry import TABLE\ndef train(task):\n    return TABLE['net']()\n"
    ),
}
NOTED = {
    "plug/base.py": "class Base:\n    table = []\n    def __init_subclass__(cls):\n        Base.table.append(cls)\n",
    "plug/again.py": "from plug.base import Base as Root\n",
    "plug/models.py": "from plug import again\nclass Net(again.Root):\n    size = 1\nclass Free:\n    size = 1\n",
    "plug/stages.py": (
        "from plug import models\nfrom plug.base import Base\ndef train(task):\n    return Base.table[0]\n"
    ),
}
LISTED = {
    "plug/base.py": "class Base:\n    pass\n",
    "plug/models.py": "from plug.base import Base\nclass Net(Base):\n    size = 1\nclass Free:\n    size = 1\n",
    "plug/stages.py": (
        "import plug.models\nfrom plug.base import Base\ndef train(task):\n    return Base.__subclasses__()[0].size\n"
    ),
}


@pytest.mark.parametrize(
    ("files", "old", "is_reached"),
    [
        (DECORATED, "def net():\n    return 1", True),
        (DECORATED, "def other():\n    return 1", False),
        (NOTED, "Net(again.Root):\n    size = 1", True),
        (NOTED, "Free:\n    size = 1", False),
        (LISTED, "Net(Base):\n    size = 1", True),
        (LISTED, "Free:\n    size = 1", False),
    ],
)
def test_what_registers_itself_on_import_counts_and_its_neighbors_do_not(
    tmp_path: Path, files: dict[str, str], old: str, *, is_reached: bool
) -> None:
    expected = {"plug.models"} if is_reached else set()
    assert differs(tmp_path, files, "plug/models.py", old, old.replace("1", "2")) == expected


@pytest.mark.parametrize(
    "body",
    [
        "for one in (net,):\n    registry.add(one)\n",
        "registry.TABLE['net'] = net\n",
        "_ = registry.add(net)\n",
        "net2 = registry.register_all(net)\n",
        "class Holder:\n    registry.add(net)\n",
    ],
)
def test_statements_that_register_count_without_a_name(tmp_path: Path, body: str) -> None:
    files = {
        "plug/registry.py": "TABLE = {}\ndef add(f):\n    TABLE[f.__name__] = f\nregister_all = add\n",
        "plug/models.py": f"from plug import registry\ndef net():\n    return 1\n{body}",
        "plug/stages.py": DECORATED["plug/stages.py"],
    }
    assert "plug.models" in differs(tmp_path, files, "plug/models.py", "return 1", "return 2")


COMPUTED = {
    "globals()[name]": (
        "def train(task):\n    return globals()[task.config.name]()\ndef net():\n    return 1\n",
        "stages",
    ),
    "getattr(module, name)": (
        "from plug import models\ndef train(task):\n    return getattr(models, 'n' + 'et')()\n",
        "",
    ),
    "getattr(package, name)": (
        "import plug.sub.models\nimport plug.sub as sub\ndef train(task):\n    return getattr(sub, 'models').net()\n",
        "sub.models",
    ),
    "import_module(text)": (
        "from importlib import import_module\ndef train(task):\n    return import_module('plug.models').net()\n",
        "",
    ),
    "import_module(relative)": (
        "import importlib as i\ndef train(task):\n    return i.import_module('.models', __package__).net()\n",
        "",
    ),
    "import_module(computed)": (
        "import importlib\ndef train(task):\n    return importlib.import_module(task.config.name).net()\n",
        "",
    ),
    "a text that names it": ("from lib import load\ndef train(task):\n    return load('plug.models:net')()\n", ""),
    "iter_modules": (
        "import pkgutil, plug\ndef train(task):\n    return [m.name for m in pkgutil.iter_modules(plug.__path__)]\n",
        "",
    ),
    "python -m": (
        "import subprocess, sys\ndef train(task):\n    subprocess.run([sys.executable, '-m', 'plug.models'])\n",
        "",
    ),
    "python -m in a shell": ("import os\ndef train(task):\n    os.system('python -m plug.models --fast')\n", ""),
    "a script": (
        "import subprocess, sys\nfrom pathlib import Path\ndef train(task):\n"
        "    subprocess.run([sys.executable, Path(__file__).with_name('models.py')])\n",
        "",
    ),
}


@pytest.mark.parametrize("way", COMPUTED)
def test_code_found_under_a_computed_name_counts(tmp_path: Path, way: str) -> None:
    text, place = COMPUTED[way]
    module = place or "models"
    file = f"plug/{module.replace('.', '/')}.py"
    files = {"plug/sub/__init__.py": "", "lib.py": "def load(name):\n    return name\n", "plug/stages.py": text}
    files.setdefault(file, "def net():\n    return 1\n")
    assert f"plug.{module}" in differs(tmp_path, files, file, "return 1", "return 2")


@pytest.mark.parametrize("target", ["plug/__main__.py", "plug/tool.py"])
def test_what_only_python_m_runs_counts(tmp_path: Path, target: str) -> None:
    name = "plug" if "main" in target else "plug.tool"
    files = {
        "plug/stages.py": f"import subprocess\ndef train(task):\n    subprocess.run(['python', '-m', '{name}'])\n",
        target: "def main():\n    return 1\nif __name__ == '__main__':\n    print(main() + 1)\n",
    }
    assert differs(tmp_path, files, target, "+ 1)", "+ 2)") == {target.removesuffix(".py").replace("/", ".")}


def test_a_program_of_another_language_is_no_module(tmp_path: Path) -> None:
    files = {
        "plug/tool": "#!/bin/sh\nif true; then echo; fi\n",
        "plug/stages.py": "from importlib import import_module\ndef train(task):\n    import_module('plug.tool')\n",
    }
    assert "plug.stages" in reached(tmp_path, files)["digests"]


def test_the_lazy_attributes_of_a_package_count(tmp_path: Path) -> None:
    files = {
        "plug/lazy/__init__.py": (
            "from importlib import import_module\nPLACES = {'Net': '.models'}\ndef __getattr__(name):\n"
            "    return getattr(import_module(PLACES[name], __name__), name)\n"
        ),
        "plug/lazy/models.py": "class Net:\n    size = 1\n",
        "plug/stages.py": "from plug.lazy import Net\ndef train(task):\n    return Net.size\n",
    }
    assert differs(tmp_path, files, "plug/lazy/models.py", "1", "2") == {"plug.lazy.models"}


DISPATCH = """from functools import singledispatch
from plug.shapes import Round, Square
@singledispatch
def area(shape): return 0
@area.register
def _(shape: Round): return 1
@area.register
def _(shape: Square): return 2
def train(task): return area(task.config.shape)
"""


def test_functions_that_are_chosen_by_annotation_count_with_it(tmp_path: Path) -> None:
    files = {"plug/stages.py": DISPATCH, "plug/shapes.py": "class Round: ...\nclass Square: ...\n"}
    assert differs(tmp_path, files, "plug/stages.py", "return 2", "return 3") == {"plug.stages"}
    assert differs(tmp_path, files, "plug/stages.py", "shape: Square", "shape: Round | Square") == {"plug.stages"}


FIELDS = """from __future__ import annotations
from dataclasses import dataclass
from typing import Annotated, NamedTuple
from pydantic import AfterValidator, BaseModel, Field
from plug.checks import clip
Rate = Annotated[float, AfterValidator(clip)]
class Options(BaseModel):
    rate: Rate = 1.0
    size: Annotated[int, Field(ge=3)] = 4
@dataclass
class Point:
    place: int = 0
class Pair(NamedTuple):
    left: int
def train(task): return Options(), Point(), Pair(1)
"""


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("plug/stages.py", "ge=3", "ge=2"),
        ("plug/stages.py", "size: Annotated[int,", "size: Annotated[float,"),
        ("plug/stages.py", "place: int", "place: float"),
        ("plug/stages.py", "left: int", "left: float"),
        ("plug/checks.py", "min(x, 1)", "min(x, 2)"),
    ],
)
def test_annotations_that_a_library_reads_count(tmp_path: Path, file: str, old: str, new: str) -> None:
    files = {"plug/stages.py": FIELDS, "plug/checks.py": "def clip(x):\n    return min(x, 1)\n"}
    assert differs(tmp_path, files, file, old, new) == {file.removesuffix(".py").replace("/", ".")}


@pytest.mark.parametrize("reader", ["typing.get_type_hints(net)", "inspect.signature(net)", "net.__annotations__"])
def test_annotations_that_the_code_reads_count(tmp_path: Path, reader: str) -> None:
    text = f"import inspect, typing\ndef net(x: int): return x\ndef train(task): return {reader}\n"
    assert differs(tmp_path, {"plug/stages.py": text}, "plug/stages.py", "x: int", "x: float") == {"plug.stages"}
    silent = text.replace(reader, "net")
    assert not differs(tmp_path / "silent", {"plug/stages.py": silent}, "plug/stages.py", "x: int", "x: float")


@pytest.mark.parametrize(
    "reader",
    [
        "from pathlib import Path\nTEXT = Path(__file__).with_name('sizes.yaml').read_text()\n",
        "from importlib import resources\nTEXT = resources.files('plug').joinpath('sizes.yaml').read_text()\n",
        "from importlib.resources import files as f\nTEXT = f(__package__).joinpath('sizes.yaml').read_text()\n",
        "import pkgutil\nTEXT = pkgutil.get_data('plug', 'sizes.yaml')\n",
    ],
)
def test_the_data_files_of_a_package_that_reads_some_count(tmp_path: Path, reader: str) -> None:
    files = {"plug/stages.py": f"{reader}def train(task): return TEXT\n", "plug/sizes.yaml": "size: 1\n"}
    assert differs(tmp_path, files, "plug/sizes.yaml", "1", "2") == {"plug/sizes.yaml"}


def test_data_files_of_a_package_that_reads_none_do_not_count(tmp_path: Path) -> None:
    files = {"plug/stages.py": "def train(task): return 1\n", "plug/sizes.yaml": "size: 1\n"}
    assert not differs(tmp_path, files, "plug/sizes.yaml", "1", "2")


def test_the_sources_of_a_compiled_module_count(tmp_path: Path) -> None:
    files = {"plug/stages.py": "from plug import fast\ndef train(task): return fast.net()\n", "plug/fast.pyx": "one"}
    assert differs(tmp_path, files, "plug/fast.pyx", "one", "two") == {"plug/fast.pyx"}


@pytest.mark.parametrize(
    "entry", ["plug.config:Outer.Inner", "plug.config:Box[int]", "plug.config.Outer", "plug.config"]
)
def test_a_class_that_a_module_does_not_name_counts_with_its_module(tmp_path: Path, entry: str) -> None:
    files = {
        "plug/stages.py": "def train(task): return task.config.size\n",
        "plug/config.py": "class Outer:\n    class Inner:\n        size = 1\n",
    }
    assert "plug.config" in differs(tmp_path, files, "plug/config.py", "1", "2", entries=entry)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (COMPUTED["import_module(computed)"][0], 3, "all of package plug, and nothing outside of it"),
        (
            "import subprocess\ndef train(task):\n    subprocess.run(['ffmpeg'])\n",
            3,
            "from outside of a package; keys do not cover them",
        ),
        (
            "import torch\ndef train(task):\n    return torch.hub.load('a/b', 'net')\n",
            3,
            "from outside of a package; keys do not cover them",
        ),
    ],
)
def test_what_no_key_can_cover_is_named_with_file_and_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    (note,) = reached(tmp_path, {"plug/stages.py": text})["notes"]
    assert note.startswith(f"plug/stages.py:{line} ")
    assert words in note
    assert "raise the stage's `version`" in note


def test_files_next_to_a_module_without_a_package_are_named_as_not_covered(tmp_path: Path) -> None:
    text = "from pathlib import Path\ndef train(task):\n    return Path(__file__).with_name('a.yaml').read_text()\n"
    (note,) = reached(tmp_path, {"flat.py": text}, run="flat:train")["notes"]
    assert note.startswith("flat.py:3 uses a program, a library or files from outside")


@pytest.mark.parametrize(
    ("text", "libraries"),
    [
        ("def train(task):\n    import torch.nn as nn\n    return nn\n", {"torch"}),
        ("import cv2\ndef train(task):\n    return cv2.imread\n", {"cv2"}),
        (
            "import importlib\ndef train(task):\n    return importlib.import_module('torchvision.models')\n",
            {"torchvision"},
        ),
        ("import torch\nimport numpy\ndef train(task):\n    return numpy.zeros(1)\ndef other(): return torch\n", set()),
    ],
)
def test_libraries_are_those_that_the_reached_code_imports(tmp_path: Path, text: str, libraries: set[str]) -> None:
    found = reached(tmp_path, {"plug/stages.py": text})["libraries"]
    assert {"torch", "torchvision", "cv2"} & set(found) == libraries


def test_comments_and_docstrings_do_not_count_where_code_is_dynamic(tmp_path: Path) -> None:
    files = {**DECORATED, "plug/stages.py": COMPUTED["import_module(computed)"][0]}
    assert not differs(tmp_path, files, "plug/models.py", "def net():\n", 'def net():\n    """Net."""  # new\n')


def test_a_download_whose_address_is_in_the_code_is_covered(tmp_path: Path) -> None:
    text = "import torch\ndef train(task):\n    torch.hub.download_url_to_file('https://a.b/c-1234.pth', 'c', '1234')\n"
    assert reached(tmp_path, {"plug/stages.py": text})["notes"] == []
