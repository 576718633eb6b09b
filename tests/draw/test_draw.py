"""plumb draw: the command, on a host with a network, a container and a published port."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import REPOSITORY, labs
from tests.labs import Lab, sh
from tests.test_docs import alike
from tests.waiting import until


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


def drawn(image: str) -> list[str]:
    """Lines of an image without the order and the numbers that random names have."""
    return sorted(re.sub(r'data-object="\w+"', "", alike(image)).split("\n"))


def test_the_image_in_the_documentation_is_drawn_so() -> None:
    """The host of docs/draw.md: names that are random are compared as kinds."""
    with labs.lab(lan=True) as lab:
        lab.plumb("network", "create", "shop", "--subnet", "172.30.0.0/24")
        subnet = ("--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.64/26")
        lab.plumb("network", "create", "-d", "macvlan", "-o", "parent=eth0", *subnet, "lan")
        lab.plumb("run", "-d", "--name", "web", "--network", "shop", "-p", "8080:80")
        lab.plumb("run", "-d", "--name", "db", "--network", "shop")
        lab.plumb("run", "-d", "--name", "printer", "--network", "lan")
        found = lab.plumb("draw", "--svg").stdout
        lab.plumb("reset", "--force")
    image = REPOSITORY / "docs/pictures/host.svg"
    if os.environ.get("PLUMB_UPDATE_DOCS"):
        image.write_text(found)
    assert drawn(image.read_text()) == drawn(found)


def test_a_trace_without_a_page_does_not_load_what_draws() -> None:
    line = "import sys, plumb.cli.diagnosis.trace, plumb.trace.tracer as _; "
    line += "print('plumb.draw' in sys.modules)"
    env = {"PYTHONPATH": str(REPOSITORY)}
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, env=env)
    assert ran.stdout == "False\n"


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
        until(lambda: "web/eth0" in out.read_text(), "the picture", seconds=60)
        sh("ip link add seen type bridge")
        until(lambda: "+ link host/seen" in out.read_text(), "the change", seconds=60)
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


def test_what_a_network_allows_stands_beside_it(shop: Lab) -> None:
    """And the administrator's rules, at the networks that they are about; in each form."""
    bridge = "com.docker.network.bridge."
    options = ("-o", f"{bridge}enable_icc=false", "-o", f"{bridge}gateway_mode_ipv4=routed")
    shop.plumb("network", "create", "back", "--subnet", "172.31.0.0/24", "--internal")
    shop.plumb("network", "create", "apart", "--subnet", "172.32.0.0/24", *options)
    before = shop.plumb("draw", "--json").stdout
    sh("iptables -w -I PLUMB-USER -s 172.30.0.0/24 -d 172.32.0.9 -j DROP")
    try:
        lines = shop.plumb("draw").stdout.splitlines()
        now = json.loads(shop.plumb("draw", "--json").stdout)
        forms = [shop.plumb("draw", form).stdout for form in ("--svg", "--dot", "--mermaid")]
    finally:
        sh("iptables -w -D PLUMB-USER -s 172.30.0.0/24 -d 172.32.0.9 -j DROP")
        shop.plumb("network", "rm", "back", "apart")
    assert any("bridge of back  172.31.0.1/24  internal" in line for line in lines)
    assert any("172.32.0.1/24  no traffic between its containers  IPv4 routed" in x for x in lines)
    rule = "PLUMB-USER -s 172.30.0.0/24 -d 172.32.0.9/32 -j DROP"
    found = [wire for wire in now["wires"] if wire["kind"] == "policy"]
    assert [wire["other"]["interface"] for wire in found] == [rule, rule]
    assert "policy" not in before
    assert all("PLUMB-USER" in text for text in forms)
