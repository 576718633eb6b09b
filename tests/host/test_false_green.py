"""Check beside a writer, without root, and after a reboot: no false alarm and no false silence."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from plumb import Host
from plumb.errors import Broken
from plumb.kernel.system import this_system
from plumb.store.sqlite import SqliteStore
from tests import REPOSITORY
from tests.labs import Lab, sh

ANOTHER_BOOT = replace(this_system(), boot=lambda: "another")


def test_check_waits_for_a_writer_that_is_at_work(lab: Lab) -> None:
    """What a command has taken away and not yet crossed out is no alarm."""
    with lab.host() as host:
        host.create_network("n")
        done = threading.Event()
        writer = threading.Thread(target=_run_and_remove, args=(lab, done))
        writer.start()
        alarms = []
        while not done.is_set():
            with lab.host() as reader:
                alarms += reader.check()
        writer.join()

    assert alarms == []


def _run_and_remove(lab: Lab, done: threading.Event) -> None:
    try:
        with lab.host() as host:
            for _ in range(15):
                host.run("c", network="n", publish=("8080:80",))
                host.remove("c", force=True)
    finally:
        done.set()


def test_check_without_root_fails(lab: Lab) -> None:
    """Without the capabilities the kernel shows nothing, which would look like no difference."""
    with lab.host() as host:
        host.create_network("n")
    sh("ip link del plumb0", check=False)
    line = [sys.executable, "-m", "plumb", "check"]
    ran = subprocess.run(
        ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", *line],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={
            **os.environ,
            "PLUMB_ROOT": str(lab.root),
            "PYTHONPATH": str(REPOSITORY),
            "PLUMB_WARM": "0",
        },
    )

    assert ran.returncode == 1
    assert "run it as root" in ran.stderr
    assert (ran.stdout, ran.stderr.count("\n")) == ("", 1)


@pytest.mark.parametrize("verb", [("ps",), ("network", "ls"), ("inspect", "c"), ("port", "c")])
def test_a_broken_settings_file_is_told(lab: Lab, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """Also by commands that need none of its settings."""
    with lab.host() as host:
        host.run("c")
    broken = tmp_path / "config.json"
    broken.write_text("{")
    ran = lab.plumb("--config", str(broken), *verb, status=1)

    assert "config.json" in ran.stderr
    assert ran.stdout == ""


def rebooted(lab: Lab) -> None:
    """Take away what a boot of the machine does, and write down another one's id."""
    with lab.host() as host:
        host.create_network("n", subnet="10.9.0.0/24")
        host.run("web", network="n", publish=("8080:80",))
        bridge, layout = host.network("n").link, host.layout
        namespaces = [host.namespace(box) for box in host.containers()]
    lab.plumb("agent", "stop")
    for link in (bridge, "plumb0"):
        sh(f"ip link del {link}", check=False)
    for tool in ("iptables", "ip6tables"):
        for table in ("filter", "nat", "raw"):
            sh(f"{tool} -t {table} -F; {tool} -t {table} -X", check=False)
    for file in namespaces:
        sh(f"umount {file}; rm -f {file}")
    with Host(lab.root) as host:
        assert isinstance(host.store, SqliteStore)
        SqliteStore(layout, create=True).remark("boot", "another")


def test_after_a_reboot_every_command_tells(lab: Lab) -> None:
    """The record is not taken for the kernel's state."""
    rebooted(lab)
    listed, ran = lab.plumb("ps"), lab.plumb("run", "-d", "true", status=125)

    assert "booted again" in listed.stderr
    assert "Lost (reboot)" in listed.stdout
    assert "Up" not in listed.stdout
    assert "booted again" in ran.stderr
    assert "plumb repair" in ran.stderr
    assert "booted again" in lab.plumb("check", status=1).stderr


def test_repair_builds_anew_after_a_reboot(lab: Lab) -> None:
    """Networks, containers and ports are there again, and the next command works."""
    rebooted(lab)
    lab.plumb("repair")

    assert lab.plumb("check").stdout == ""
    assert "Up" in lab.plumb("ps").stdout
    with lab.host() as host:
        assert "10.9.0.2/24" in lab.inside(host, "web", "ip addr show eth0")
        host.run("another", network="n")


def test_a_reboot_of_an_empty_root_does_not_matter(lab: Lab) -> None:
    """Nothing was lost."""
    with Host(lab.root, system=ANOTHER_BOOT) as host:
        host.create_network("n")
        with pytest.raises(Broken, match="booted again"), lab.host() as later:
            later.create_network("m")
        host.reset()
    with lab.host() as host:
        host.create_network("n")
