"""plumb draw: the command, on a host with a network, a container and a published port."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import REPOSITORY, labs
from tests.host.trial_hosts import wait_until
from tests.labs import Lab, sh


@pytest.fixture(scope="module")
def shop() -> Iterator[Lab]:
    """Networks shop and lan, with web on the one and printer on the other."""
    with labs.lab(lan=True) as lab:
        lab.plumb("network", "create", "shop", "--subnet", "172.30.0.0/24")
        lab.plumb("network", "create", "-d", "macvlan", "-o", "parent=eth0", "lan")
        lab.plumb("run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80")
        lab.plumb("run", "-d", "--name", "printer", "--network", "lan")
        yield lab
        lab.plumb("reset", "--force")


def wires(lab: Lab) -> list[Any]:
    """Wires as programs get them."""
    found: list[Any] = json.loads(lab.plumb("draw", "--json").stdout)["wires"]
    return found


def test_text_shows_what_leads_where(shop: Lab) -> None:
    """A container beside its port, with the port that is published; a parent's link beside it."""
    lines = shop.plumb("draw").stdout.splitlines()
    web = next(line for line in lines if "web's port on shop" in line)
    assert "0.0.0.0:8080/tcp to 80/tcp ─▶" in web
    assert web.endswith("├── web/eth0  on shop  172.30.0.2/24")
    assert any("source NAT MASQUERADE 172.30.0.0/24 ◀─" in line for line in lines)
    parent = next(line for line in lines if "parent of lan" in line)
    assert "├── printer/eth0  on lan  mode bridge" in parent


def test_every_kind_of_wire_is_there(shop: Lab) -> None:
    kinds = {wire["kind"] for wire in wires(shop)}
    assert kinds == {"veth", "port", "parent", "uplink", "published", "nat"}


@pytest.mark.parametrize(
    ("form", "beginning"), [("--svg", "<svg "), ("--dot", "digraph"), ("--mermaid", "flowchart")]
)
def test_each_form_is_printed(shop: Lab, form: str, beginning: str) -> None:
    assert shop.plumb("draw", form).stdout.startswith(beginning)


def test_diff_tells_what_has_changed_since(shop: Lab, tmp_path: Path) -> None:
    """Nothing, with the status 0; then what a new container brings, with the status 1."""
    before = tmp_path / "before.json"
    before.write_text(shop.plumb("draw", "--json").stdout)
    assert shop.plumb("draw", "--diff", str(before)).stdout == ""
    shop.plumb("run", "-d", "--name", "new", "--network", "shop")
    told = shop.plumb("draw", "--diff", str(before), status=1).stdout
    shop.plumb("rm", "-f", "new")
    assert "+ namespace new\n" in told
    assert "+ link new/eth0  on shop  172.30.0.3/24\n" in told


def test_a_file_that_is_no_picture_is_one_line(shop: Lab, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("{}")
    error = shop.plumb("draw", "--diff", str(wrong), status=1).stderr
    assert error.startswith(f"plumb: {wrong} is no picture of version 1")


def test_watch_tells_changes_where_its_output_goes_to_a_file(shop: Lab, tmp_path: Path) -> None:
    """First the picture, then a line for each change."""
    out = tmp_path / "out"
    argv = [sys.executable, "-m", "plumb", "draw", "--watch", "--interval", "0.1"]
    env = {
        "PLUMB_ROOT": str(shop.root),
        "PYTHONPATH": str(REPOSITORY),
        "PATH": "/usr/sbin:/usr/bin",
    }
    with out.open("w") as file:
        watch = subprocess.Popen(argv, stdout=file, env=env, cwd="/")
    try:
        wait_until(lambda: "web/eth0" in out.read_text(), "the picture", seconds=60)
        sh("ip link add seen type bridge")
        wait_until(lambda: "+ link host/seen" in out.read_text(), "the change", seconds=60)
    finally:
        watch.send_signal(signal.SIGINT)
        watch.wait(60)
        sh("ip link del seen")


def test_what_is_half_removed_is_drawn(shop: Lab) -> None:
    """A container whose interface is gone has its published port at its namespace."""
    shop.plumb("run", "-d", "--name", "torn", "--network", "shop", "-p", "8081:80")
    ns = json.loads(shop.plumb("inspect", "torn").stdout)[0]["NetworkSettings"]["SandboxKey"]
    labs.within(ns, "ip link del eth0")
    found = [wire for wire in wires(shop) if wire["other"]["box"] == "torn"]
    text = shop.plumb("draw").stdout
    shop.plumb("rm", "-f", "torn")
    assert {wire["kind"] for wire in found} == {"published"}
    assert {wire["other"]["interface"] for wire in found} == {""}
    assert "┌ torn" in text
