"""A caller whose plumb is another one than the server's gets its own, by both clients."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import REPOSITORY, labs
from tests.labs import Lab
from tests.prefork.prefork_lab import (
    counted,
    install_launcher,
    publish,
    quiet,
    said,
    start,
    warm_up,
)
from tests.waiting import until


@pytest.fixture(scope="module", params=["python", "launcher"])
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with an agent and a prefork server, by each of the clients."""
    with labs.lab() as made:
        if request.param == "launcher":
            made.launcher = install_launcher(tmp_path_factory.mktemp("bin"))
        publish(made)
        warm_up(made)
        yield made


def other_plumb(folder: Path) -> Path:
    """A plumb of the same version, which heads its list of containers otherwise."""
    shutil.copytree(
        REPOSITORY / "plumb", folder / "plumb", ignore=shutil.ignore_patterns("__pycache__")
    )
    edited = folder / "plumb/cli/listings.py"
    edited.write_text(edited.read_text().replace("CONTAINER ID", "IDENTITY"))
    return folder / "plumb"


def known(lab: Lab, **asked: Any) -> None:
    """Have commands carried out warm, the last one by a launcher that the server knows."""
    for _ in range(2):
        assert said(start(lab, "ps", **asked))[1].startswith("CONTAINER ID")
        until(lambda: quiet(lab), "there is a spare")


def test_a_mount_over_the_package_is_seen(shop: Lab, tmp_path: Path) -> None:
    """The paths are the same in that mount namespace, and the files are not."""
    other = other_plumb(tmp_path)
    line = f'mount --bind {other} {REPOSITORY}/plumb && exec "$@"'
    prefix = ("unshare", "--mount", "sh", "-c", line, "sh")
    known(shop)
    with counted(shop, 0):
        for _ in range(2):
            assert said(start(shop, "ps", prefix=prefix))[1].startswith("IDENTITY")


def test_another_mount_namespace_alone_is_served(shop: Lab) -> None:
    """What else is mounted there is the caller's."""
    line = 'mount -t tmpfs none /mnt && exec "$@"'
    with counted(shop, 1):
        said(start(shop, "ps", prefix=("unshare", "--mount", "sh", "-c", line, "sh")))


@pytest.mark.parametrize("entry", [".", ""], ids=["dot", "empty"])
def test_a_relative_entry_is_the_callers_folder(shop: Lab, tmp_path: Path, entry: str) -> None:
    """Python takes the package from there."""
    other_plumb(tmp_path)
    env = {"PYTHONPATH": f"{entry}:{REPOSITORY}"}
    known(shop, env=env)
    assert said(start(shop, "ps", env=env, cwd=str(tmp_path)))[1].startswith("IDENTITY")


def test_a_package_that_comes_later_is_seen(shop: Lab, tmp_path: Path) -> None:
    """In a folder that comes first in PYTHONPATH, and was empty."""
    env = {"PYTHONPATH": f"{tmp_path}:{REPOSITORY}"}
    known(shop, env=env)
    other_plumb(tmp_path)
    assert said(start(shop, "ps", env=env))[1].startswith("IDENTITY")


ASK = """
import sys
from plumb.prefork import client
connection = client._connect(sys.argv[1])
connection.send(client.compose(set()))
print(connection.recv(1).decode())
"""


def test_who_is_refused_for_good_is_told_so(shop: Lab) -> None:
    """So that a launcher's program need not ask once more."""
    words = ("setpriv", "--no-new-privs")
    asked = start(shop, str(shop.root), prefix=words, program=("-c", ASK))
    assert said(asked) == (0, "c\n", "")
    until(lambda: quiet(shop), "there is a spare")
    assert said(start(shop, str(shop.root), program=("-c", ASK))) == (0, "w\n", "")


def test_a_program_by_a_relative_path_is_served(shop: Lab, tmp_path: Path) -> None:
    """It is learned of for no launcher, which names its program by a whole path."""
    install_launcher(tmp_path)
    program = tmp_path / "plumb-python"
    text = program.read_text().split("\n", 1)[1]
    program.write_text(f"import sys; sys.argv[0] = 'plumb-python'\n{text}")
    with counted(shop, 1):
        said(start(shop, "ps", program=(str(program),), cwd="/"))
