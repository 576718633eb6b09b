"""`network export` and `network import` on real kernels, by the command line."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import REPOSITORY, labs
from tests.compose.random_hosts import Maker
from tests.host.trial_hosts import end_all
from tests.labs import Lab, sh


@contextmanager
def machine() -> Iterator[Lab]:
    """A host with two links, which macvlan networks may stand on; reset in the end."""
    with labs.lab() as made:
        sh("ip link add up0 type veth peer up1 && ip link set up0 up && ip link set up1 up")
        try:
            yield made
            made.plumb("reset", "--force")
        finally:
            end_all(made)


def state(lab: Lab) -> dict[str, str]:
    """What the kernel and the containers' files have, with names for ids."""
    found = {}
    with lab.host() as host:
        rules = sh("iptables-save | grep -v '^[#:]'")
        for net in host.networks():
            rules = rules.replace(net.link or "none", f"<{net.name}>")
        found["rules"] = rules
        for box in host.containers():
            own = lab.inside(host, box, "ip -4 -o address | awk '{print $2, $4}'; ip route")
            dns = lab.plumb("exec", box.name, "cat", "/etc/resolv.conf").stdout
            found[box.name] = own + dns
    return found


@pytest.mark.slow
@pytest.mark.needs("macvlan")
@pytest.mark.parametrize("seed", range(3))
def test_another_host_becomes_the_same(tmp_path: Path, seed: int) -> None:
    """Addresses, routes, rules and name servers; a second import has nothing to change."""
    file = str(tmp_path / "networks.yaml")
    with machine() as one:
        with one.host() as host:
            Maker(seed, ("up0", "up1")).make(host)
        one.plumb("network", "export", "--addresses", "-o", file)
        before = state(one)
    assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    with machine() as other:
        other.plumb("network", "import", file)
        assert state(other) == before
        other.plumb("check")
        again = other.plumb("network", "import", file).stdout.splitlines()
        assert again[-1] == "nothing to change"
        other.plumb("network", "import", "--diff", file)


def test_a_pipe_is_a_file_too(emptied: Lab, tmp_path: Path) -> None:
    """`plumb network export | ssh HOST plumb network import -`."""
    emptied.plumb("network", "create", "shop")
    emptied.plumb("create", "--name", "web", "--network", "shop")
    text = emptied.plumb("network", "export", "--json").stdout
    assert json.loads(text)["networks"] == {"shop": {"name": "shop"}}
    emptied.plumb("rm", "web")
    emptied.plumb("network", "rm", "shop")
    (tmp_path / "file").write_text(text)
    plumb = f"PLUMB_ROOT={emptied.root} PYTHONPATH={REPOSITORY} {sys.executable} -m plumb"
    made = sh(f"cat {tmp_path}/file | {plumb} network import --no-start -")
    assert made == "Network shop  Created\nContainer web  Created\n"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "-: empty compose file"),
        ("services: {web: {x: 1}}\n", "-:1: x is no key here"),
        ("[1]\n", "-:1: a mapping is expected"),
        ("\\377\n", "compose file - cannot be read: "),
    ],
)
def test_errors_call_the_input_by_its_word(emptied: Lab, text: str, why: str) -> None:
    """The file that it is written to is gone, and nobody has named it."""
    plumb = f"PLUMB_ROOT={emptied.root} PYTHONPATH={REPOSITORY} {sys.executable} -m plumb"
    said = sh(f"printf '{text}' | {plumb} network import - 2>&1", check=False)
    assert said.startswith(f"plumb: {why}")
    assert "plumb-import-" not in said


@pytest.mark.parametrize(
    ("file", "why"),
    [
        ("/dev/null", "compose file /dev/null cannot be read: it is no regular file"),
        ("/", "compose file / cannot be read: Is a directory"),
        ("nowhere.yaml", "compose file nowhere.yaml not found"),
    ],
)
def test_what_is_no_file_is_said(emptied: Lab, file: str, why: str) -> None:
    """It is not called missing where it is there."""
    said = emptied.plumb("network", "import", file, status=1).stderr
    assert said.startswith(f"plumb: {why}")


def test_what_differs_is_listed(emptied: Lab, tmp_path: Path) -> None:
    """By --diff, with exit status 1; as JSON too."""
    path = tmp_path / "networks.yaml"
    path.write_text("networks: {shop: {name: shop, internal: true}, new: {name: new}}\n")
    emptied.plumb("network", "create", "shop")
    told = emptied.plumb("network", "import", "--diff", str(path), status=1).stdout
    assert told.splitlines() == [
        "Network shop  Differs",
        "        internal: nothing here, true in the file",
        "Network new  Missing",
    ]
    rows = emptied.plumb("network", "import", "--diff", "--json", str(path), status=1).stdout
    assert [json.loads(row)["Differences"] for row in rows.splitlines()] == [
        [{"Key": "internal", "Here": None, "File": True}],
        [],
    ]
    refused = emptied.plumb("network", "import", str(path), status=1).stderr
    assert "nothing is changed" in refused
    assert "--replace makes them anew" in refused


def test_named_networks_come_with_their_containers(emptied: Lab) -> None:
    """Other networks of those are external."""
    emptied.plumb("network", "create", "shop")
    emptied.plumb("network", "create", "back")
    emptied.plumb("create", "--name", "web", "--network", "shop", "--network", "back")
    emptied.plumb("create", "--name", "db", "--network", "back")
    made = json.loads(emptied.plumb("network", "export", "--json", "shop").stdout)
    assert list(made["services"]) == ["web"]
    assert made["networks"] == {
        "shop": {"name": "shop"},
        "back": {"name": "back", "external": True},
    }
    bare = json.loads(emptied.plumb("network", "export", "--no-containers", "--json").stdout)
    assert list(bare) == ["networks"]
    assert "is on every host" in emptied.plumb("network", "export", "bridge", status=1).stderr


def test_what_cannot_be_made_leaves_nothing(emptied: Lab, tmp_path: Path) -> None:
    """An address that this host does not have is found when the port is bound, at the very end."""
    path = tmp_path / "networks.yaml"
    path.write_text(
        "networks: {shop: {name: shop}}\n"
        "services: {web: {command: sleep 99, networks: [shop], ports: ['203.0.113.99:80:80']}}\n"
    )
    emptied.plumb("network", "create", "other")
    emptied.plumb("network", "rm", "other")
    before = emptied.plumb("network", "ls", "--no-trunc").stdout
    said = emptied.plumb("network", "import", str(path), status=1).stderr
    assert "203.0.113.99:80/tcp: cannot assign requested address" in said
    assert emptied.plumb("network", "ls", "--no-trunc").stdout == before
    assert emptied.plumb("ps", "-aq").stdout == ""
    assert ": br-" not in sh("ip -o link show type bridge")


def test_a_file_that_was_there_is_replaced(emptied: Lab, tmp_path: Path) -> None:
    """Others may read it, or it is a link to somebody else's; neither is written to."""
    emptied.plumb("network", "create", "shop")
    old, link = tmp_path / "old", tmp_path / "link"
    old.write_text("old")
    old.chmod(0o644)
    link.symlink_to(old)
    for path in (link, old):
        emptied.plumb("network", "export", "-o", str(path))
        assert stat.S_IMODE(path.lstat().st_mode) == 0o600
        assert "shop" in path.read_text()
        assert (path is link) == (old.read_text() == "old")
    refused = emptied.plumb("network", "export", "-o", str(tmp_path), status=1).stderr
    assert "it is no ordinary file" in refused
    assert sorted(each.name for each in tmp_path.iterdir()) == ["link", "old"]


def test_what_a_file_says_reaches_no_terminal(emptied: Lab, tmp_path: Path) -> None:
    """As an escape sequence, that is; nor do values of the environment, as JSON either."""
    path = tmp_path / "networks.yaml"
    path.write_text(
        'services: {web: {container_name: web, domainname: a, labels: {x: "\\e[31mred"},'
        " environment: {KEY: f1le}}}"
    )
    emptied.plumb("create", "--name", "web", "-e", "KEY=s3cret")
    told = emptied.plumb("network", "import", "--diff", str(path), status=1).stdout
    assert "[31mred" in told
    assert "\x1b" not in told
    rows = emptied.plumb("network", "import", "--diff", "--json", str(path), status=1).stdout
    unlike = [each for row in rows.splitlines() for each in json.loads(row)["Differences"]]
    assert {"Key": "environment.KEY"} in unlike
    assert not {"f1le", "s3cret"} & set(" ".join((told, rows)).replace('"', " ").split())
