"""The key of a command covers its folder, its files and what runs it, wherever they lie, and nothing that it leaves."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.errors import CommandError
from harness.external import tree
from harness.external.definition import Definition
from harness.external.find import find_files, find_repository, find_runner
from harness.external.sources import Repository, tree_digest
from harness.external.tree import read_tree


def git(folder: Path, *arguments: str) -> None:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always"]
    subprocess.run(["git", "-C", str(folder), *settings, *arguments], check=True, capture_output=True)


def make_code(folder: Path, *, with_git: bool = True) -> Path:
    (folder / "lib").mkdir(parents=True)
    (folder / "track.py").write_text("print(1)\n")
    (folder / "lib" / "net.py").write_text("net = 1\n")
    (folder / ".gitignore").write_text("*.log\n")
    if with_git:
        git(folder, "init", "-q")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "first")
    return folder


def digest(folder: Path, *ignore: str) -> str:
    return tree_digest(read_tree(folder, ignore))


def find(**keys: object) -> Definition:
    return Definition.model_validate({"command": "track {masks}", **keys})


def edit(code: Path) -> None:
    (code / "lib" / "net.py").write_text("net = 2\n")


def remove(code: Path) -> None:
    (code / "lib" / "net.py").unlink()


def add(code: Path) -> None:
    (code / "new.py").write_text("")


def rename(code: Path) -> None:
    (code / "track.py").rename(code / "follow.py")


@pytest.mark.parametrize("with_git", [True, False], ids=["git", "no git"])
@pytest.mark.parametrize("change", [edit, remove, add, rename])
def test_every_change_of_code_is_another_key_and_undoing_it_is_not(
    tmp_path: Path, change: Callable[[Path], None], with_git: bool
) -> None:
    code = make_code(tmp_path / "code", with_git=with_git)
    before = digest(code)
    change(code)
    assert digest(code) != before
    for file in code.rglob("*.py"):
        file.unlink()
    (code / "track.py").write_text("print(1)\n")
    (code / "lib" / "net.py").write_text("net = 1\n")
    assert digest(code) == before


@pytest.mark.parametrize("change", [edit, remove, add, rename])
def test_committing_or_staging_a_change_is_no_further_change(tmp_path: Path, change: Callable[[Path], None]) -> None:
    code = make_code(tmp_path / "code")
    change(code)
    changed = read_tree(code)
    assert changed.changed
    git(code, "add", "-A")
    staged = read_tree(code)
    git(code, "commit", "-qm", "second")
    committed = read_tree(code)
    assert changed.files == staged.files == committed.files
    assert staged.changed
    assert not committed.changed
    assert committed.commit != changed.commit


def test_the_place_of_the_folder_and_having_git_are_not_in_the_key(tmp_path: Path) -> None:
    places = make_code(tmp_path / "a"), make_code(tmp_path / "b" / "c"), make_code(tmp_path / "d", with_git=False)
    assert len({digest(place) for place in places}) == 1


def test_what_git_ignores_and_what_runs_leave_does_not_count(tmp_path: Path) -> None:
    code = make_code(tmp_path / "code")
    before = digest(code, "output")
    left = (
        "a.log",
        "__pycache__/x.pyc",
        "lib/y.pyc",
        "output/00000.png",
        "runs/store/locks/a.lock",
        "runs/rows/a.json",
    )
    for file in (*left, ".venv/pyvenv.cfg", ".venv/bin/python", ".cache/CACHEDIR.TAG", ".cache/v/1"):
        (code / file).parent.mkdir(parents=True, exist_ok=True)
        (code / file).write_text("left by a run")
    assert digest(code, "output") == before
    assert digest(code) != before


def test_a_folder_in_a_repository_counts_with_what_is_in_it(tmp_path: Path) -> None:
    code = make_code(tmp_path / "code")
    before = digest(code / "lib")
    (code / "track.py").write_text("print(2)\n")
    assert digest(code / "lib") == before
    edit(code)
    assert digest(code / "lib") != before


def test_a_folder_that_git_does_not_track_is_hashed_file_by_file(tmp_path: Path) -> None:
    code = make_code(tmp_path / "code")
    (code / ".gitignore").write_text("vendored\n")
    (code / "vendored").mkdir()
    (code / "vendored" / "net.py").write_text("1")
    before = digest(code / "vendored")
    (code / "vendored" / "net.py").write_text("2")
    assert digest(code / "vendored") != before


def test_the_files_of_submodules_count_too(tmp_path: Path) -> None:
    inner, code = make_code(tmp_path / "inner"), make_code(tmp_path / "code")
    git(code, "submodule", "add", "-q", str(inner), "third")
    git(code, "commit", "-qm", "with a submodule")
    before = read_tree(code)
    assert "third/track.py" in before.files
    assert not before.changed
    edit(code / "third")
    after = read_tree(code)
    assert after.changed
    assert tree_digest(after) != tree_digest(before)


def test_a_link_counts_as_where_it_leads(tmp_path: Path) -> None:
    code = make_code(tmp_path / "code")
    (code / "weights").symlink_to("one.pth")
    git(code, "add", "-A")
    git(code, "commit", "-qm", "a link")
    before = digest(code)
    (code / "weights").unlink()
    (code / "weights").symlink_to("two.pth")
    assert digest(code) != before


@pytest.mark.parametrize("with_git", [True, False], ids=["git", "no git"])
def test_a_folder_with_too_much_to_hash_is_a_named_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_git: bool
) -> None:
    code = make_code(tmp_path / "code", with_git=with_git)
    monkeypatch.setattr(tree, "MOST_FILES", 5)
    read_tree(code)
    for number in range(6):
        (code / f"{number}.png").write_text("")
    with pytest.raises(CommandError, match=r"code: more than 5 files.*ignore"):
        read_tree(code)


def test_a_repository_that_git_refuses_is_a_named_error(tmp_path: Path) -> None:
    code = make_code(tmp_path / "code")
    (code / ".git" / "HEAD").write_text("nonsense")
    with pytest.raises(CommandError, match=r"code: git ls-files failed"):
        read_tree(code)


def test_verifying_says_which_files_changed_last(tmp_path: Path) -> None:
    code = make_code(tmp_path / "code")
    found = find_repository(find(folder=code), "here")
    found.verify()
    assert found.commit == read_tree(code).commit
    add(code)
    with pytest.raises(CommandError, match=r"code: files changed since the plan; changed last: new\.py"):
        found.verify()
    Repository(path=None, digest="").verify()


def test_verifying_a_file_notes_a_change_that_keeps_size_and_time(tmp_path: Path) -> None:
    weights = tmp_path / "w.pth"
    weights.write_bytes(b"1234")
    found = find_files(find(files=[weights]), "here")
    found.verify()
    stamp = weights.stat()
    weights.write_bytes(b"4321")
    os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(CommandError, match=r"w\.pth: its content changed"):
        found.verify()
    weights.unlink()
    with pytest.raises(CommandError, match=r"w\.pth: cannot be read"):
        found.verify()


def test_an_interpreter_is_known_by_version_and_packages_not_by_place(tmp_path: Path) -> None:
    for name in "ab":
        venv.create(tmp_path / name, symlinks=True)
    programs = [find(python=tmp_path / name / "bin" / "python") for name in "ab"]
    one, other = (find_runner(program, "{python} x", "here", "command") for program in programs)
    assert one.digest == other.digest
    assert one.about.startswith(f"Python {sys.version.split()[0]} with")
    one.verify()
    site = next((tmp_path / "a" / "lib").glob("python*")) / "site-packages"
    (site / "torch-2.9.dist-info").mkdir()
    with pytest.raises(CommandError, match="python: changed since the plan"):
        one.verify()
    other.verify()


@pytest.mark.parametrize(
    ("keys", "template", "words"),
    [
        ({"python": Path("/absent/python")}, "{python} x", "here.python: no program /absent/python"),
        ({"python": Path("/bin/true")}, "{python} x", "/bin/true: a Python interpreter expected"),
        ({"python": Path("/bin/false")}, "{python} x", "/bin/false: a Python interpreter expected"),
        ({"conda": "absent"}, "{python} x", "here.conda: no environment 'absent'"),
        ({"conda": "/usr"}, "{python} x", "here.conda: /usr is no conda environment"),
        ({"container": "absent.sif"}, "x", "here.container: no file absent.sif"),
        ({}, "absent-program {masks}", "here.command: no program 'absent-program' is installed"),
        ({}, "/absent/program {masks}", "here.command: no program /absent/program"),
        ({"folder": Path("/usr")}, "./absent.sh {masks}", "here.command: no program /usr/absent.sh"),
        (
            {"python": Path(sys.executable), "folder": Path("/usr")},
            "{python} absent.py",
            "here.command: no file absent.py in /usr",
        ),
    ],
)
def test_what_runs_a_command_and_is_not_there_is_a_named_error(
    keys: dict[str, object], template: str, words: str
) -> None:
    with pytest.raises(CommandError) as error:
        find_runner(find(**keys), template, "here", "command")
    assert words in str(error.value)


def test_a_container_without_an_engine_is_a_named_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CommandError, match="neither docker nor podman is installed"):
        find_runner(find(container="lab/net:1"), "x", "here", "command")


def test_an_image_is_known_by_its_digest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "docker").write_text("#!/bin/sh\n[ -e /$5 ] && echo no such image >&2 && exit 1\ncat $IMAGE\n")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "image").write_text("sha256:0123456789abcdef")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("IMAGE", str(tmp_path / "image"))
    found = find_runner(find(container="lab/net:1"), "x", "here", "command")
    assert (found.engine, found.about, found.python) == (tmp_path / "docker", "image 0123456789ab", Path("python"))
    found.verify()
    (tmp_path / "image").write_text("sha256:fedcba")
    with pytest.raises(CommandError, match="lab/net:1: changed since the plan"):
        found.verify()


def test_the_engine_that_has_the_image_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, script in {"docker": "echo no daemon >&2; exit 1", "podman": "echo sha256:0123"}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert find_runner(find(container="lab/net:1"), "x", "here", "command").engine == tmp_path / "podman"
    (tmp_path / "podman").write_text("#!/bin/sh\necho no such image >&2; exit 1\n")
    with pytest.raises(CommandError, match=r"(?s)`docker pull lab/net:1`.*no daemon.*`podman pull.*no such image"):
        find_runner(find(container="lab/net:1"), "x", "here", "command")


def test_a_conda_environment_is_found_by_name_and_known_by_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prefix = tmp_path / "envs" / "cutie"
    venv.create(prefix, symlinks=True)
    (prefix / "conda-meta").mkdir()
    (tmp_path / ".conda").mkdir()
    (tmp_path / ".conda" / "environments.txt").write_text(f"{prefix}\n/absent\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    found = find_runner(find(conda="cutie"), "{python} x", "here", "command")
    assert (found.kind, found.prefix, found.python) == ("conda", prefix, prefix / "bin" / "python")
    (prefix / "conda-meta" / "cuda-12.1-0.json").write_text("{}")
    with pytest.raises(CommandError, match="changed since the plan"):
        found.verify()


def test_a_program_given_by_its_path_is_known_by_its_content(tmp_path: Path) -> None:
    program = tmp_path / "track"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found = find_runner(find(folder=tmp_path), "./track {masks}", "here", "command")
    found.verify()
    program.write_text("#!/bin/sh\necho\n")
    with pytest.raises(CommandError, match="track: changed since the plan"):
        found.verify()
