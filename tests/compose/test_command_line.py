"""plumb up, down and compose on a real host."""

from __future__ import annotations

import json
from pathlib import Path

from tests.labs import Lab, sh

SHOP = """
name: shop
services:
  db:
    command: sleep infinity
    healthcheck: {test: test -e FLAG, interval: 100ms, retries: 600}
    networks: {back: {ipv4_address: 10.9.1.5}}
  job:
    command: touch FLAG
    networks: [back]
  web:
    command: sleep infinity
    environment: {COLOUR: red}
    ports: ["8080:80"]
    networks: {front: {ipv4_address: 10.9.0.9}, back: {}}
    depends_on:
      db: {condition: service_healthy}
      job: {condition: service_completed_successfully}
networks:
  front: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
  back: {internal: true, ipam: {config: [{subnet: 10.9.1.0/24}]}}
"""


def written(folder: Path, text: str = SHOP) -> str:
    """The path of a compose file."""
    path = folder / "compose.yaml"
    path.write_text(text.replace("FLAG", str(folder / "flag")))
    return str(path)


def test_a_project_comes_changes_and_goes(emptied: Lab, tmp_path: Path) -> None:
    """Conditions are awaited; a changed service takes its address and port over; nothing stays."""
    before = sh("ip -o link; iptables-save | grep -c ^-A || true")
    emptied.plumb("network", "ls")
    first = emptied.plumb("up", "-f", written(tmp_path)).stdout
    assert "Network shop_back  Created\n" in first
    assert "Container shop-web-1  Started\n" in first
    assert (tmp_path / "flag").exists()

    blue = written(tmp_path, SHOP.replace("red", "blue"))
    second = emptied.plumb("compose", "-f", blue, "up").stdout.splitlines()
    assert "Container shop-web-1  Recreated" in second
    assert "Container shop-db-1  Running" in second

    lines = emptied.plumb("compose", "ps", "-f", blue, "--json").stdout.splitlines()
    ports = {row["Service"]: row["Ports"] for row in map(json.loads, lines)}
    assert ports["web"] == "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
    assert emptied.plumb("check").returncode == 0

    emptied.plumb("down", "-f", blue, "-t", "0")
    assert emptied.plumb("ps", "-aq").stdout == ""
    emptied.plumb("reset", "--force")
    assert sh("ip -o link; iptables-save | grep -c ^-A || true") == before


def test_a_dependency_that_ends_otherwise_is_an_error(emptied: Lab, tmp_path: Path) -> None:
    """It names the container."""
    path = written(tmp_path, SHOP.replace("touch FLAG", "false").replace("test -e FLAG", "true"))
    ran = emptied.plumb("up", "-f", path, status=1)
    assert "service job didn't complete successfully: exit 1" in ran.stderr


def test_a_file_that_is_wrong_is_one_line(lab: Lab, tmp_path: Path) -> None:
    """With file, line and what to try; nothing is built."""
    ran = lab.plumb("up", "-f", written(tmp_path, "services:\n  a: {comand: x}\n"), status=1)
    assert ran.stderr.endswith("compose.yaml:2: comand is no key here; did you mean command?\n")
    assert not lab.root.exists()


def test_a_dry_run_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    """It prints commands."""
    out = lab.plumb("up", "--dry-run", "-f", written(tmp_path)).stdout
    assert "ip link add" in out
    assert not lab.root.exists()


def test_a_verb_of_docker_that_is_not_there_has_its_reason(lab: Lab) -> None:
    """As `compose pull` and `compose logs`."""
    assert "there are no images" in lab.plumb("compose", "pull", status=1).stderr
    assert "plumb logs" in lab.plumb("compose", "logs", status=1).stderr
