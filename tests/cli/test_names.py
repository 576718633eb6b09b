"""Names on the command line.

Links, extra hosts, and what a command in a container reads of them.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plumb.errors import Invalid
from plumb.model import container_options as options
from tests.labs import Lab, sh
from tests.waiting import until

# -- words ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("db:192.0.2.1", ("db", "192.0.2.1")),
        ("db=192.0.2.1", ("db", "192.0.2.1")),
        ("db:[192.0.2.1]", ("db", "192.0.2.1")),
        ("db:fd00::1", ("db", "fd00::1")),
        ("db:[fd00::1]", ("db", "fd00::1")),
        ("db=fd00::1", ("db", "fd00::1")),
        ("db=[fd00::1]", ("db", "fd00::1")),
        ("db:0:0:0:0:0:0:0:1", ("db", "0:0:0:0:0:0:0:1")),
        ("db:host-gateway", ("db", "host-gateway")),
        ("db.lab.test=host-gateway", ("db.lab.test", "host-gateway")),
    ],
)
def test_an_extra_host(text: str, found: tuple[str, str]) -> None:
    """With either sign, brackets or none; the address stays as it was written."""
    assert options.extra_host(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("db", 'bad format for add-host: "db"'),
        (":192.0.2.1", "bad format for add-host"),
        ("a:b=192.0.2.1", "bad format for add-host"),
        ("db:", 'invalid IP address in add-host: ""'),
        ("db:nonsense", 'invalid IP address in add-host: "nonsense"'),
        ("db:[host-gateway]", 'invalid IP address in add-host: "host-gateway"'),
        ("db:[]", "invalid IP address"),
        ("db=1.2.3", "invalid IP address"),
    ],
)
def test_an_extra_host_that_is_none(text: str, message: str) -> None:
    """With Docker's words."""
    with pytest.raises(Invalid) as caught:
        options.extra_host(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("db", ("db", "db")),
        ("db:database", ("db", "database")),
        ("/db:/web/database", ("db", "database")),
        ("db:", ("db", "db")),
    ],
)
def test_a_link(text: str, found: tuple[str, str]) -> None:
    """An alias that is not given is the name; inspect's form is understood."""
    assert options.link(text) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty string specified for links"),
        ("a:b:c", "bad format for links: a:b:c"),
        ("a b", "invalid link name"),
        ("a:b/c", "invalid alias"),
    ],
)
def test_a_link_that_is_none(text: str, message: str) -> None:
    """With Docker's words where it has some."""
    with pytest.raises(Invalid, match=message):
        options.link(text)


# -- commands ---------------------------------------------------------------


def file(lab: Lab, box: str, name: str) -> str:
    """A container's file, where inspect says that it lies."""
    (found,) = json.loads(lab.plumb("inspect", box).stdout)
    return Path(found[{"hosts": "HostsPath", "resolv.conf": "ResolvConfPath"}[name]]).read_text()


def test_a_command_reads_the_lines_that_were_asked_for(lab: Lab) -> None:
    """In /etc/hosts: the host by a name, another by two, its own last."""
    printed = lab.plumb(
        "run",
        "--rm",
        "--add-host",
        "host.test:host-gateway",
        "--add-host",
        "db=[fd00::1]",
        "--hostname",
        "box.lab.test",
        "cat",
        "/etc/hosts",
    ).stdout.splitlines()
    assert printed[-3:] == ["172.17.0.1\thost.test", "fd00::1\tdb", "172.17.0.2\tbox.lab.test box"]
    lab.plumb("reset", "--force")


def test_without_ipv6_nobody_reads_of_it(lab: Lab) -> None:
    """Neither of what was asked for nor of the loopback."""
    printed = lab.plumb(
        "run",
        "--rm",
        "--sysctl",
        "net.ipv6.conf.all.disable_ipv6=1",
        "--add-host",
        "db:fd00::1",
        "cat",
        "/etc/hosts",
    ).stdout
    assert [line.split()[0] for line in printed.splitlines()] == ["127.0.0.1", "172.17.0.2"]
    lab.plumb("reset", "--force")


def test_a_link_is_in_the_files_and_in_the_environment(lab: Lab) -> None:
    """And exec tells it to other commands too."""
    lab.plumb("run", "-d", "--name", "db", "--expose", "80", "-e", "USER=app")
    lab.plumb("run", "-d", "--name", "web", "--link", "db:database", "sleep", "1000")
    assert "172.17.0.2\tdatabase " in file(lab, "web", "hosts")
    told = lab.plumb("exec", "web", "env").stdout.splitlines()
    assert {
        "DATABASE_PORT=tcp://172.17.0.2:80",
        "DATABASE_NAME=/web/database",
        "DATABASE_ENV_USER=app",
    } <= set(told)
    lab.plumb("reset", "--force")


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (
            ("run", "-d", "--link", "nosuch:x"),
            125,
            "could not get container for nosuch: No such container: nosuch",
        ),
        (
            ("run", "-d", "--network", "host", "--link", "nosuch"),
            125,
            "host type networking can't be used with links",
        ),
        (("run", "-d", "--link", "a:b:c"), 125, "bad format for links: a:b:c"),
        (("run", "-d", "--add-host", "x"), 125, 'bad format for add-host: "x"'),
        (("create", "--add-host", "x:y"), 125, 'invalid IP address in add-host: "y"'),
    ],
)
def test_what_is_refused(lab: Lab, argv: tuple[str, ...], status: int, message: str) -> None:
    """With Docker's words and status; nothing is left."""
    assert message in lab.plumb(*argv, status=status).stderr
    assert not lab.root.exists()


def test_no_host_gateway(lab: Lab, tmp_path: Path) -> None:
    """Where there is no default network."""
    config = tmp_path / "config.json"
    config.write_text('{"bridge": "none"}')
    ran = lab.plumb(
        "run", "-d", "--add-host", "x:host-gateway", status=125, env={"PLUMB_CONFIG": str(config)}
    )
    assert "unable to derive the IP value for host-gateway" in ran.stderr


def test_a_link_of_a_network_of_one_s_own(lab: Lab) -> None:
    """By run and by connect; nobody need be there."""
    lab.plumb("network", "create", "n1")
    lab.plumb("network", "create", "n2")
    lab.plumb("run", "-d", "--name", "web", "--network", "n1", "--link", "db:database")
    lab.plumb("network", "connect", "--link", "cache", "--link", "db:other", "n2", "web")
    networks: dict[str, Any] = json.loads(lab.plumb("inspect", "web").stdout)[0]["NetworkSettings"][
        "Networks"
    ]
    assert {name: one["Links"] for name, one in networks.items()} == {
        "n1": ["db:database"],
        "n2": ["cache", "db:other"],
    }
    lab.plumb("reset", "--force")


@pytest.mark.parametrize("backend", ["iptables", "nftables"])
def test_a_link_leads_through_where_containers_are_parted(
    lab: Lab, tmp_path: Path, backend: str
) -> None:
    """To the exposed port alone, and for this one alone."""
    sh("sysctl -qw net.ipv4.ip_forward=1")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"icc": False, "firewall-backend": backend}))
    env = {"PLUMB_CONFIG": str(config)}
    script = "import socket\ns = socket.create_server(('', 80))\nwhile True: s.accept()"
    lab.plumb("run", "-d", "--name", "db", "--expose", "80", "python3", "-c", script, env=env)
    lab.plumb("run", "-d", "--name", "web", "--link", "db", env=env)
    lab.plumb("run", "-d", "--name", "other", env=env)

    def knock(box: str, port: int) -> str:
        line = f"import socket;socket.create_connection(('172.17.0.2',{port}),1)"
        ran = lab.plumb("exec", box, "python3", "-c", line, status=None, env=env)
        return ran.stderr.splitlines()[-1] if ran.returncode else "reached"

    try:
        until(lambda: knock("web", 80) == "reached", "the linked container's port is reached")
        assert "timed out" in knock("web", 81)
        assert "timed out" in knock("other", 80)
        lab.plumb("check", env=env)
    finally:
        lab.plumb("reset", "--force", env=env)
