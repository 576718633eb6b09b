"""Settings read in one namespace after the other, through mounts of proc of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from plumb.kernel.linux import LinuxKernel
from plumb.kernel.netns import namespaces, proc_sys
from plumb.things.layer3 import Sysctl
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


def test_each_namespace_has_its_own_value(settings: list[Sysctl]) -> None:
    """Also where a mount has shown those of others before; the mount table stays as it is."""
    before = Path("/proc/self/mounts").read_text()

    assert LinuxKernel().look(settings) == settings
    assert Path("/proc/self/mounts").read_text() == before


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
