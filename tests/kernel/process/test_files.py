"""Files that are plumb's and the user's.

What a hand writes into resolv.conf or hosts stays, and nothing half-written does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from plumb import Host
from plumb.errors import KernelRefused
from plumb.kernel.process import files
from plumb.kernel.process.line_merge import merge
from plumb.plan import Step
from plumb.things.sandbox import Edits, File
from tests import REPOSITORY
from tests.host.test_failure import fail_everywhere
from tests.labs import Lab

MINE = "10.66.6.6\tmine\n"
OLD, NEW = (
    "127.0.0.1\tlocalhost\n10.9.0.2\tweb\n",
    "127.0.0.1\tlocalhost\n10.8.0.2\tweb\n10.7.0.2\tweb\n",
)

FIRST, SECOND = OLD.splitlines(keepends=True)

# -- lines ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("own", "want", "now", "found"),
    [
        ("a\n", "a\nb\n", "a\nmine\n", "a\nmine\nb\n"),  # what comes is put at the end
        ("a\nb\n", "a\n", "a\nmine\nb\n", "a\nmine\n"),  # what goes is taken out
        (
            "a\nb\n",
            "a\n",
            "a\nb # mine\n",
            "a\nb # mine\n",
        ),  # a line that was changed is the user's
        ("a\nb\n", "a\nb\nc\n", "b\n", "b\nc\n"),  # a line that was deleted stays so
        (
            "1\tx\nb\n",
            "2\tx\nb\n",
            "m\n1\tx\nb\n",
            "m\n2\tx\nb\n",
        ),  # a line with another address stays where it is
        ("a\n", "a\nb\n", "a\nb\n", "a\nb\n"),  # what the user has written already is not doubled
        ("a\n", "a\nb\n", "a\nmine", "a\nmine\nb\n"),  # a last line without an end gets one
        ("a\n", "a\nb\n", "a\nm\r\n\fn\n", "a\nm\r\n\fn\nb\n"),  # nothing but a newline ends a line
        ("a\n", "a\nb\n", "", "b\n"),
    ],
)  # a file that was emptied stays so
def test_lines_of_two(own: str, want: str, now: str, found: str) -> None:
    """plumb's lines come and go, the user's stay."""
    assert merge(now, [own], want) == found


@pytest.mark.parametrize("now", [OLD, NEW, NEW + "\n\n\n"])
@pytest.mark.parametrize("want", [OLD, NEW])
def test_lines_of_which_nobody_knows_whether_they_were_written(now: str, want: str) -> None:
    """After a kill -9 over a change the file says the one or the other, maybe with newlines behind
    it; the user's lines stay."""
    assert sorted(merge(MINE + now, [OLD, NEW], want).splitlines()) == sorted(
        (MINE + want).splitlines()
    )


# -- one file ---------------------------------------------------------------


@pytest.fixture(params=[Edits.LEFT, Edits.MERGED])
def edits(request: pytest.FixtureRequest) -> Edits:
    found = request.param
    assert isinstance(found, Edits)
    return found


def the(path: Path, text: str, edits: Edits) -> File:
    """A file as a thing."""
    return File(str(path), text, edits)


def test_what_was_written_is_as_it_should_be(tmp_path: Path, edits: Edits) -> None:
    """Made, changed, changed back, and taken away with all that lay beside it."""
    path = tmp_path / "hosts"
    old, new = the(path, OLD, edits), the(path, NEW, edits)
    assert files.look(old) is None
    for step in (Step(None, old), Step(old, new), Step(new, old)):
        files.take(step)
        assert step.after is not None
        assert files.look(step.after) == step.after
        assert path.read_text() == step.thing.text  # type: ignore[attr-defined]  # a step's things are files here
    files.take(Step(old, None))
    assert list(tmp_path.iterdir()) == []


def test_the_inode_stays(tmp_path: Path, edits: Edits) -> None:
    """A bind mount keeps to it."""
    path = tmp_path / "hosts"
    files.take(Step(None, the(path, OLD, edits)))
    inode = path.stat().st_ino
    files.take(Step(the(path, OLD, edits), the(path, NEW, edits)))
    assert path.stat().st_ino == inode


def test_an_edited_file_is_as_it_should_be(tmp_path: Path, edits: Edits) -> None:
    """Whatever the user has written, or deleted; but the file must be there."""
    path = tmp_path / "hosts"
    old = the(path, OLD, edits)
    files.take(Step(None, old))
    for text in (OLD + MINE, MINE, ""):
        path.write_text(text)
        assert files.look(old) == old
    path.unlink()
    assert files.look(old) is None


@pytest.mark.parametrize("edited", [FIRST, SECOND, SECOND + FIRST, "", MINE + OLD, OLD + "\n#"])
@pytest.mark.parametrize("want", [FIRST, SECOND, NEW, ""])
def test_the_way_back_leads_to_what_was_there(
    tmp_path: Path, edits: Edits, edited: str, want: str
) -> None:
    """Also where what the user has deleted or moved is what the change would have, so that the file
    is as if nobody had edited it."""
    path = tmp_path / "hosts"
    old, new = the(path, OLD, edits), the(path, want, edits)
    files.take(Step(None, old))
    path.write_text(edited)
    files.take(Step(old, new))
    files.take(Step(new, old))
    assert path.read_text() == edited
    assert files.look(old) == old


@pytest.mark.parametrize("anew", [True, False])
def test_what_was_there_once_does_not_come_back_later(
    tmp_path: Path, edits: Edits, anew: bool
) -> None:
    """A file that was made anew, or changed since, has nothing of an edit of long ago."""
    path = tmp_path / "hosts"
    old, new = the(path, OLD, edits), the(path, FIRST, edits)
    files.take(Step(None, old))
    path.write_text(new.text)
    files.take(Step(old, new))
    if anew:
        path.unlink()
        files.take(Step(None, new))
    else:
        other = the(path, MINE, edits)
        files.take(Step(new, other))
        files.take(Step(other, new))
    files.take(Step(new, old))
    assert path.read_text() == OLD


@pytest.mark.parametrize(
    "code",
    [
        (
            "files.take(Step(None, File(path, 'a', Edits.MERGED))); "
            "files.take(Step(File(path, 'a'), File(path, 'b', Edits.MERGED)))"
        ),
        "host_files.host_file(__file__)",
    ],
)
def test_files_are_utf_8_wherever_one_is(tmp_path: Path, code: str) -> None:
    """Not what the locale says.

    Read as Latin-1, each letter beyond ASCII would be written as two.
    """
    script = tmp_path / "script.py"
    script.write_text(
        "from plumb.kernel.process import files, host_files\nfrom plumb.plan import Step\n"
        "from plumb.things.sandbox import Edits, File\n"
        f"path = {str(tmp_path / 'hosts')!r}\n{code}\n"
    )
    told = [
        sys.executable,
        "-X",
        "warn_default_encoding",
        "-W",
        "error::EncodingWarning",
        str(script),
    ]
    subprocess.run(told, check=True, env={**os.environ, "PYTHONPATH": str(REPOSITORY)})


def test_an_edited_resolv_conf_is_left_alone(tmp_path: Path) -> None:
    """And what it should say now is as it should be."""
    path = tmp_path / "resolv.conf"
    old, new = the(path, OLD, Edits.LEFT), the(path, NEW, Edits.LEFT)
    files.take(Step(None, old))
    path.write_text(MINE)
    files.take(Step(old, new))
    assert path.read_text() == MINE
    assert files.look(new) == new
    files.take(Step(new, old))
    assert path.read_text() == MINE
    assert files.look(old) == old


def test_an_edit_that_is_taken_back_is_none(tmp_path: Path) -> None:
    """Then the file is plumb's again."""
    path = tmp_path / "resolv.conf"
    files.take(Step(None, the(path, OLD, Edits.LEFT)))
    path.write_text(MINE)
    path.write_text(OLD)
    files.take(Step(the(path, OLD, Edits.LEFT), the(path, NEW, Edits.LEFT)))
    assert path.read_text() == NEW


@pytest.mark.parametrize(
    "edited", [MINE + OLD, OLD + MINE, OLD.replace("\n", f"\n{MINE}", 1), MINE, ""]
)
def test_the_way_back_leads_to_just_what_was_there(tmp_path: Path, edited: str) -> None:
    """Wherever in the file the user's lines are, and also where plumb's are not there any more."""
    path = tmp_path / "hosts"
    old, new = the(path, OLD, Edits.MERGED), the(path, NEW, Edits.MERGED)
    files.take(Step(None, old))
    path.write_text(edited)
    files.take(Step(old, new))
    files.take(Step(new, old))
    assert path.read_text() == edited


def test_bytes_that_are_no_text_stay_as_they_are(tmp_path: Path) -> None:
    """A user may write what they like."""
    path = tmp_path / "hosts"
    files.take(Step(None, the(path, OLD, Edits.MERGED)))
    path.write_bytes(OLD.encode() + b"\xff\xfe\r\n")
    files.take(Step(the(path, OLD, Edits.MERGED), the(path, OLD + "x\n", Edits.MERGED)))
    assert path.read_bytes().startswith(OLD.encode() + b"\xff\xfe")


# -- kill -9 ---------------------------------------------------------------

BREAKS = ("open", "fchmod", "write", "pwrite", "ftruncate", "rename", "close", "unlink")
"""What a process can be killed before."""


def killed_over(step: Step, at: int) -> bool:
    """Take a step in a process that is killed before its Nth call; whether that came to pass."""
    pid = os.fork()
    if pid == 0:
        count = 0

        def counted(real: object) -> object:
            def call(*arguments: object, **options: object) -> object:
                nonlocal count
                count += 1
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*arguments, **options)  # type: ignore[operator]  # it is one of os's functions

            return call

        for name in BREAKS:
            setattr(os, name, counted(getattr(os, name)))
        files.take(step)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def killed_everywhere(step: Step, edited: str = "") -> Iterator[None]:
    """Take a step again and again, killed a bit later each time.

    Args:
        edited: what the user has made of the file before.
    """
    thing = step.thing
    assert isinstance(thing, File)
    for at in range(1, 100):
        files.take(Step(thing, None))
        if step.before is not None:
            files.take(Step(None, step.before))
        if edited:
            Path(thing.path).write_text(edited)
        if not killed_over(step, at):
            assert at > 4
            return
        yield


def mended(target: File) -> None:
    """Do what recovery does: look, and take the step to what shall be, if any."""
    now = files.look(target)
    assert now is None or isinstance(now, File)
    if now != target:
        files.take(Step(now, target))
    assert files.look(target) == target


@pytest.mark.parametrize("forward", [True, False])
def test_a_change_that_was_killed_is_no_edit(tmp_path: Path, edits: Edits, forward: bool) -> None:
    """At whatever moment: it can be finished, and taken back.

    Nobody ever reads less than one of the two texts.
    """
    path = tmp_path / "hosts"
    long, short = the(path, OLD + "x\ty\n" * 50, edits), the(path, NEW, edits)
    for _ in killed_everywhere(Step(long, short)):
        assert path.read_text().rstrip("\n") in (long.text.rstrip("\n"), short.text.rstrip("\n"))
        target = short if forward else long
        mended(target)
        assert path.read_text() == target.text


@pytest.mark.parametrize("forward", [True, False])
def test_what_the_user_wrote_outlives_a_change_that_was_killed(
    tmp_path: Path, forward: bool
) -> None:
    """And plumb's lines are those that they shall be."""
    path = tmp_path / "hosts"
    old, new = the(path, OLD, Edits.MERGED), the(path, NEW, Edits.MERGED)
    for _ in killed_everywhere(Step(old, new), MINE + OLD):
        target = new if forward else old
        mended(target)
        assert sorted(path.read_text().splitlines()) == sorted((MINE + target.text).splitlines())


def test_a_file_that_was_being_made_is_not_as_it_should_be(tmp_path: Path, edits: Edits) -> None:
    """It is written anew, or taken away."""
    path = tmp_path / "hosts"
    wanted = the(path, OLD, edits)
    for _ in killed_everywhere(Step(None, wanted)):
        mended(wanted)
        assert path.read_text() == OLD


def test_a_full_disk_is_an_error(
    tmp_path: Path, edits: Edits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the kernel has written some of it."""
    monkeypatch.setattr(os, "write", lambda descriptor, raw: len(raw) - 1)
    with pytest.raises(KernelRefused):
        files.take(Step(None, the(tmp_path / "hosts", OLD, edits)))


# -- a container's ---------------------------------------------------------------


@dataclass
class Box:
    """A container c1 on n1; c2 is on n2."""

    lab: Lab
    host: Host

    def path(self, name: str) -> Path:
        """One of its files."""
        return Path(self.host.layout.container(self.host.container("c1").id), name)

    def lines(self) -> list[str]:
        """Its hosts file but for localhost's lines."""
        return [
            line
            for line in self.path("hosts").read_text().splitlines()
            if "localhost" not in line and "ip6-" not in line
        ]


@pytest.fixture
def box(lab: Lab) -> Iterator[Box]:
    with lab.host() as host:
        with host.operation() as verbs:
            verbs.create_network("n1", subnet="10.9.0.0/24")
            verbs.create_network("n2", subnet="10.8.0.0/24")
            verbs.run("c1", network="n1", hostname="box")
            verbs.run("c2", network="n2")
        yield Box(lab, host)
        host.reset()


def test_lines_of_the_user_s_stay_in_hosts(box: Box) -> None:
    """While networks come and go, and over a restart."""
    path = box.path("hosts")
    path.write_text(MINE + path.read_text())
    box.host.connect("n2", "c1")
    assert box.lines() == ["10.66.6.6\tmine", "10.9.0.2\tbox", "10.8.0.3\tbox"]
    box.host.disconnect("n1", "c1")
    assert box.lines() == ["10.66.6.6\tmine", "10.8.0.3\tbox"]
    box.host.restart("c1")
    assert box.lines() == ["10.66.6.6\tmine", "10.8.0.3\tbox"]


def test_an_edited_resolv_conf_stays(box: Box) -> None:
    """While networks come and go, and over a restart."""
    path = box.path("resolv.conf")
    path.write_text("nameserver 192.0.2.66\n")
    box.host.connect("n2", "c1")
    box.host.disconnect("n2", "c1")
    box.host.restart("c1")
    assert path.read_text() == "nameserver 192.0.2.66\n"


def test_check_is_quiet_about_edits(box: Box) -> None:
    """And repair leaves them; a file that is gone is mended, and so is one that is half written."""
    for name in ("hosts", "resolv.conf"):
        path = box.path(name)
        whole = path.read_text()
        path.write_text(MINE)
        assert box.host.check() == []
        box.host.repair()
        assert path.read_text() == MINE
        for damage in (path, path.with_name(f"{name}.own")):
            damage.unlink()
            assert [drift.state for drift in box.host.check()] == [
                "missing" if damage == path else "changed"
            ]
            box.host.repair()
            assert path.read_text() == whole
            assert box.host.check() == []


def test_a_failed_change_leaves_edits_as_they_were(box: Box) -> None:
    """Whatever step of it fails: byte for byte."""
    hosts, resolv = box.path("hosts"), box.path("resolv.conf")
    first, _, rest = hosts.read_text().partition("\n")
    edited = f"{first}\n{MINE}{rest}# mine\n"
    hosts.write_text(edited)
    resolv.write_text("nameserver 192.0.2.66\n")
    with box.host.operation() as verbs:
        verbs.connect("n2", "c1")
    edited = hosts.read_text()
    for do in (lambda verbs: verbs.disconnect("n1", "c1"), lambda verbs: verbs.stop("c1")):
        fail_everywhere(box.lab, do, {}, "edits")
        assert (hosts.read_text(), resolv.read_text()) == (edited, "nameserver 192.0.2.66\n")
