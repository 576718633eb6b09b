"""Settings read and written in many namespaces in turn, through mounts of proc of one's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from plumb.frozen import replace
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import detached_mount, namespaces, proc_sys
from plumb.plan import Step
from plumb.things.layer3 import Sysctl
from tests import REPOSITORY
from tests.labs import sh

TTL = "net/ipv4/ip_default_ttl"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Sysctl]]:
    """A setting of each of many namespaces, with another value in each."""
    folder = tmp_path_factory.mktemp("many")
    made = [
        Sysctl(TTL, str(number + 10), str(folder / str(number)))
        for number in range(2 * proc_sys.MANY + 1)
    ]
    for setting in made:
        namespaces.make(setting.ns)
        with namespaces.entered(setting.ns):
            Path(f"/proc/sys/{TTL}").write_text(setting.value)
    yield made
    for setting in made:
        namespaces.drop(setting.ns)


@pytest.fixture
def mounts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Descriptors of the mounts of proc that are made."""
    made: list[int] = []
    mounted = detached_mount.mounted
    try:
        os.close(mounted("proc"))
    except OSError as error:
        pytest.skip(f"no proc of one's own here: {error}")

    def counted(kind: str) -> int:
        made.append(mounted(kind))
        return made[-1]

    monkeypatch.setattr(proc_sys, "mounted", counted)
    return made


def descriptors() -> list[str]:
    """Open descriptors of this process."""
    return sorted(os.listdir("/proc/self/fd"))


def test_each_namespace_has_its_own_value(settings: list[Sysctl], mounts: list[int]) -> None:
    """Also where a mount has shown those of others before; nothing of the mounts is left."""
    before = Path("/proc/self/mounts").read_text(), descriptors()

    assert LinuxKernel().look(settings) == settings
    assert len(mounts) >= 2
    assert (Path("/proc/self/mounts").read_text(), descriptors()) == before
    assert proc_sys._PROC.root is None


def test_each_namespace_gets_its_own_value(settings: list[Sysctl], mounts: list[int]) -> None:
    """What is written through a mount is what each namespace has, by its own /proc/sys too."""
    before = descriptors()
    changed = [replace(each, value=str(int(each.value) + 100)) for each in settings]

    LinuxKernel().take([Step(*each) for each in zip(settings, changed, strict=True)])
    assert len(mounts) >= 2
    assert descriptors() == before
    for each in changed:
        with namespaces.entered(each.ns):
            assert Path(f"/proc/sys/{TTL}").read_text().strip() == each.value
    LinuxKernel().take([Step(*each) for each in zip(changed, settings, strict=True)])


def test_a_look_that_fails_leaves_no_mount(mounts: list[int]) -> None:
    """In the middle of a namespace, say."""
    before = descriptors()

    with suppress(FileNotFoundError), proc_sys.renewed(proc_sys.MANY):
        os.close(proc_sys.opened("net/ipv4/"))
        proc_sys.opened("net/ipv9/")
    assert mounts
    assert descriptors() == before
    assert proc_sys._PROC.root is None


def test_what_is_here_is_read_without_a_right_to_enter_a_namespace() -> None:
    """As root of a user namespace, whose network namespace is the machine's."""
    look = f"""
from plumb.kernel.linux import LinuxKernel
from plumb.things.layer3 import Sysctl
print(LinuxKernel().look([Sysctl("{TTL}", "64")]))"""
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", sys.executable, "-c", look],
        capture_output=True,
        cwd=REPOSITORY,
        text=True,
        check=False,
    )
    assert TTL in done.stdout, done.stderr


def test_without_the_right_to_mount_the_machine_s_proc_is_read(
    settings: list[Sysctl], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user namespace whose /proc is partly covered may have none of its own."""

    def refused(kind: str) -> int:
        raise PermissionError(kind)

    monkeypatch.setattr(proc_sys, "mounted", refused)

    assert LinuxKernel().look(settings) == settings


def test_what_is_in_a_namespace_that_is_gone_is_passed_over(settings: list[Sysctl]) -> None:
    """The thread then reads the next one's, and is back at home in the end."""
    home = Path("/proc/thread-self/ns/net").readlink()
    lost = Sysctl(TTL, "64", f"{settings[0].ns}-gone")

    assert LinuxKernel().look([settings[0], lost, settings[1]]) == [settings[0], None, settings[1]]
    assert Path("/proc/thread-self/ns/net").readlink() == home


@pytest.mark.parametrize("name", ["accept_ra", "disable_ipv6"])
@pytest.mark.parametrize("value", ["0", "1"])
def test_a_link_s_message_has_what_proc_has(name: str, value: str) -> None:
    """Settings that are read with the link are those that /proc/sys shows."""
    sh("ip link add br7 type bridge")
    setting = Sysctl(f"net/ipv6/conf/br7/{name}", value)
    Path(f"/proc/sys/{setting.name}").write_text(value)

    assert LinuxKernel().look([setting]) == [setting]
    sh("ip link del br7")
    assert LinuxKernel().look([setting]) == [None]
