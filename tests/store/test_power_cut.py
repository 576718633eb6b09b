"""A power cut: whatever is lost or torn, the record is whole and has what succeeded.

A process makes changes as commands do, each with a store of its own, and a recorder notes each of
its system calls. Then the power is cut at many moments, on a disk that loses and tears what was not
synced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from plumb.model.cnm import Network
from plumb.model.paths import Layout
from plumb.store.salvage import damage
from plumb.store.sqlite import SqliteStore
from tests import REPOSITORY, sampling
from tests.store.torn import Call, Disk, calls, write

CUTS = 200
COMMANDS = 40
WORK = """
import os, sys
from contextlib import suppress
from plumb.model.cnm import Network
from plumb.model.paths import Layout
from plumb.store.change import Change
from plumb.store.sqlite import SqliteStore

layout = Layout(sys.argv[1])
for number in range(int(sys.argv[2])):
    store = SqliteStore(layout, create=True)
    long = (("x", "y" * 3000),)
    net = Network(f"{number:064x}", f"n{number}", "bridge", number=number, options=long)
    change = Change(put=(net,))
    begun = store.begin([], [], change)
    if number % 2:
        store.prepare(begun, change)
    store.finish(begun, change)
    with suppress(FileNotFoundError):
        os.unlink(f"{layout.root}/done-{number}")
    store.close()
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[Call]]:
    """The root's folder, and all calls of a process that made changes there."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: apt install gcc")
    folder = tmp_path_factory.mktemp("cut")
    library, log, root = folder / "recorder.so", folder / "log", folder / "root"
    source = Path(__file__).parent / "recorder.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "LD_PRELOAD": str(library),
        "RECORD_ROOT": str(root),
        "RECORD_LOG": str(log),
    }
    subprocess.run(
        [sys.executable, "-c", WORK, str(root), str(COMMANDS)], env=environment, check=True
    )
    return str(root), calls(log.read_bytes())


def succeeded(done: list[Call]) -> int:
    """The number of changes that a process was told to have succeeded."""
    return sum(call.op == "u" and "/done-" in call.path for call in done)


def test_every_record_is_whole_after_a_power_cut(
    recorded: tuple[str, list[Call]], tmp_path: Path
) -> None:
    """All of them: no page is damaged, and what had succeeded is on record."""
    root, done = recorded
    chance = Random(sampling.seed())
    for cut in range(CUTS):
        moment = chance.randrange(len(done))
        disk = Disk(root)
        for call in done[:moment]:
            disk.take(call)
        left = tmp_path / str(cut)
        write(disk.cut(chance), root, left)
        layout = Layout(str(left))
        said = f"cut {cut} at call {moment} of {len(done)}"
        store = SqliteStore(layout, create=True)
        assert damage(layout.database) == [], said
        names = [net.name for net in store.all(Network)]
        store.close()
        known = succeeded(done[:moment])
        assert names[:known] == [f"n{number}" for number in range(known)], said
        shutil.rmtree(left)


def test_a_disk_that_tears_does_tear(recorded: tuple[str, list[Call]], tmp_path: Path) -> None:
    """Without its syncs the same process loses its record: so the test above is worth something."""
    root, done = recorded
    chance = Random(1)
    disk = Disk(root)
    for call in done:
        if call.op != "s":
            disk.take(call)
    disk.take(Call("s", root, 0, b""))
    write(disk.cut(chance), root, tmp_path / "left")
    assert damage(str(tmp_path / "left" / "plumb.db")) != []


def test_a_change_waits_for_the_disk_a_few_times(recorded: tuple[str, list[Call]]) -> None:
    """A command syncs so often, and no more: the WAL and its folder, and the file at its end."""
    _, done = recorded
    ends = [at for at, call in enumerate(done) if "/done-" in call.path]
    one = done[ends[-2] : ends[-1]]
    assert sum(call.op == "s" for call in one) <= 6, [call[:2] for call in one if call.op == "s"]
