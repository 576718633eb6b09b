"""The distribution: what a wheel and an sdist hold, and a command that runs from an empty venv."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterable, Iterator
from email.message import Message
from email.parser import Parser
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import plumb
from plumb.cli.reference import man_pages
from tests import REPOSITORY

NAME = f"netplumb-{plumb.__version__}"
"""How the distribution and its version are called; `plumb` on PyPI is another project."""


def ran(*words: str | Path, cwd: Path = REPOSITORY, env: dict[str, str] | None = None) -> str:
    """What a program prints that must succeed."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, so that none leaves anything in the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    files = [REPOSITORY / name for name in ("LICENSE", "README.md", "pyproject.toml", "setup.py")]
    for path in [*files, *(REPOSITORY / "plumb").rglob("*")]:
        if path.is_file() and path.suffix != ".pyc":
            target = copy / path.relative_to(REPOSITORY)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    former = copy / "build/share/share/man/man1/plumb-former.1"  # a build's of before
    former.parent.mkdir(parents=True)
    former.touch()
    (copy / "tests").mkdir()
    (copy / "tests/__init__.py").touch()  # lies beside the package, and must stay out
    return copy


def built(kind: str, source: Path, into: Path, **env: str) -> Path:
    """A wheel or an sdist, by the build back end that pyproject.toml names, without a network."""
    call = f"from setuptools import build_meta; build_meta.build_{kind}({str(into)!r})"
    ran(sys.executable, "-c", call, cwd=source, env={**os.environ, **env})
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module", params=["with a compiler", "without a compiler"])
def compiler(request: pytest.FixtureRequest) -> bool:
    """Whether there is a C compiler where the wheel is built."""
    if request.param == "with a compiler" and shutil.which("cc") is None:
        pytest.skip("there is no C compiler")
    return bool(request.param == "with a compiler")


@pytest.fixture(scope="module")
def wheel(source: Path, compiler: bool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    into = tmp_path_factory.mktemp("wheel")
    return built("wheel", source, into, CC="cc" if compiler else "/nonexistent/cc")


@pytest.fixture(scope="module")
def sdist(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist of this checkout."""
    return built("sdist", source, tmp_path_factory.mktemp("sdist"))


def names_in(wheel: Path) -> set[str]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """What a wheel says of itself."""
    with zipfile.ZipFile(wheel) as archive:
        return Parser().parsestr(archive.read(f"{NAME}.dist-info/METADATA").decode())


def test_the_distribution_is_called_netplumb(wheel: Path, sdist: Path, compiler: bool) -> None:
    """Its name and version are those of the files too; what is compiled is for one machine."""
    machine = f"linux_{os.uname().machine}" if compiler else "any"
    assert wheel.name == f"{NAME}-py3-none-{machine}.whl"
    assert sdist.name == f"{NAME}.tar.gz"


def test_the_metadata_is_complete(metadata: Message) -> None:
    """Who asks an index for it is told licence, authors, Python, subjects and description."""
    assert metadata["Name"] == "netplumb"
    assert metadata["Version"] == plumb.__version__
    assert metadata["License-Expression"] == "MIT"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["Author"] == "the plumb authors"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Keywords"]
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    assert metadata.get_payload().startswith("# plumb\n")  # type: ignore[union-attr]  # not multipart


def test_the_version_stands_once() -> None:
    """pyproject.toml reads it off the package."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "plumb.__version__"}


def test_a_wheel_holds_the_package_its_licence_and_its_types(wheel: Path) -> None:
    """All modules, py.typed, LICENSE; no tests."""
    names = names_in(wheel)
    modules = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "plumb").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == modules
    assert {"plumb/py.typed", f"{NAME}.dist-info/licenses/LICENSE"} <= names
    folders = {"plumb", f"{NAME}.dist-info", f"{NAME}.data"}
    assert {name.split("/")[0] for name in names} == folders


def test_a_wheel_holds_the_launcher(wheel: Path, compiler: bool) -> None:
    """Beside the Python program that it executes; `plumb` is that program where it is missing."""
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.read(f"{NAME}.dist-info/entry_points.txt").decode()
        scripts = [name for name in archive.namelist() if ".data/scripts/" in name]
        first = [archive.read(name)[:4] for name in scripts]
    assert (scripts, first) == (
        ([f"{NAME}.data/scripts/plumb"], [b"\x7fELF"]) if compiler else ([], [])
    )
    assert ("plumb-python = plumb.__main__:main" in entries) == compiler
    assert ("\nplumb = plumb.__main__:main" in entries) != compiler


def test_an_editable_install_is_a_path(source: Path, tmp_path: Path) -> None:
    """Not a finder, which takes each Python of its venv longer to import than to start."""
    with zipfile.ZipFile(built("editable", source, tmp_path, PLUMB_LAUNCHER="0")) as archive:
        begun = {n: archive.read(n).decode() for n in archive.namelist() if "__editable__" in n}
    assert list(begun.values()) == [f"{source}\n"]


def test_a_launcher_that_does_not_run_is_left_out(source: Path, tmp_path: Path) -> None:
    """As a compiler for another machine makes it; this one makes nothing."""
    compiler = "sh -c 'exit 0' cc"
    assert built("wheel", source, tmp_path, CC=compiler).name == f"{NAME}-py3-none-any.whl"


def test_a_wheel_for_any_machine_can_be_asked_for(source: Path, tmp_path: Path) -> None:
    """Where there is a compiler, as a package index wants it."""
    assert built("wheel", source, tmp_path, PLUMB_LAUNCHER="0").name == f"{NAME}-py3-none-any.whl"


def test_a_wheel_holds_manual_pages_and_completion(wheel: Path) -> None:
    """A page of each verb, where man looks for it, and a script where each shell does."""
    share = f"{NAME}.data/data/share"
    pages = {f"{share}/man/man1/{man_pages.name(each)}.1" for each in man_pages.contexts()}
    scripts = {
        f"{share}/bash-completion/completions/plumb",
        f"{share}/zsh/site-functions/_plumb",
        f"{share}/fish/vendor_completions.d/plumb.fish",
    }
    assert {name for name in names_in(wheel) if name.startswith(share)} == pages | scripts
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read(f"{share}/man/man1/plumb-run.1").startswith(b".TH PLUMB")
        assert b"complete -o default -F _plumb plumb" in archive.read(
            f"{share}/bash-completion/completions/plumb"
        )


def test_an_sdist_holds_what_a_wheel_is_made_of(wheel: Path, sdist: Path) -> None:
    """Whoever builds from it gets the same files."""
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    assert {name for name in names_in(wheel) if name.startswith("plumb/")} <= names
    assert {"LICENSE", "README.md", "pyproject.toml", "setup.py"} <= names
    assert "plumb/prefork/launcher.c" in names
    assert not any(name.startswith("tests") for name in names)


def needed(lines: Iterable[str]) -> Iterator[Distribution]:
    """The distributions installed here that requirements name, and those that they need."""
    for asked in map(Requirement, lines):
        if asked.marker is None or asked.marker.evaluate({"extra": ""}):
            found = distribution(asked.name)
            yield found
            yield from needed(found.requires or ())


@pytest.fixture(scope="module")
def venv(wheel: Path, metadata: Message, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an empty virtual environment with the wheel and what its metadata ask for.

    Tests have no network, so the dependencies are copies of those that are installed here; pip
    finds them, or fails.
    """
    folder = tmp_path_factory.mktemp("venv")
    ran(sys.executable, "-m", "venv", folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    for part in needed(metadata.get_all("Requires-Dist", [])):
        for path in part.files or ():
            if ".." not in path.parts and path.suffix != ".pyc":
                target = packages / path
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path.locate(), target)
    ran(folder / "bin/pip", "install", "-q", "--disable-pip-version-check", "--no-index", wheel)
    return folder / "bin"


@pytest.mark.slow
def test_the_command_runs_from_an_empty_venv(venv: Path, tmp_path: Path) -> None:
    """With no more than its own dependencies, and away from the checkout."""
    assert re.match(
        rf"plumb +{re.escape(plumb.__version__)}$",
        ran(venv / "plumb", "version", cwd=tmp_path),
        re.M,
    )
    assert "network" in ran(venv / "plumb", "--help", cwd=tmp_path)
    assert ran(venv / "python", "-c", "import plumb; print(plumb.Host)", cwd=tmp_path)


@pytest.mark.slow
def test_pytest_finds_the_plugin_in_it(venv: Path, tmp_path: Path) -> None:
    """An entry point that pytest loads is part of the distribution."""
    call = (
        "from importlib.metadata import entry_points as e; "
        "print(e(group='pytest11')['plumb'].value)"
    )
    assert ran(venv / "python", "-c", call, cwd=tmp_path).strip() == "plumb.pytest_plugin.hooks"
