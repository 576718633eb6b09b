"""Command lines at the edges, which Docker takes or refuses: plumb does the same.

They are played in this process, on a kernel that is a dict. docs/differences.md has the lines at
which plumb differs, and the reasons.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_bad_input import Bench

IFNAME = "driver-opt=com.docker.network.endpoint.ifname"
MAC = "02:00:00:00:00:01"
LABEL = "com.docker.network.bridge."
RUN = ("run", "-d", "--name", "c1")
TWO = ("--network", f"name=n1,{IFNAME}=if0", "--network", f"name=n2,{IFNAME}=if1")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Networks n1, of both families, and n2, Foo and foo."""
    made = Bench(tmp_path)
    for words in (
        ["n1", "--ipv6", "--subnet", "10.11.0.0/24", "--subnet", "fd00:1::/64"],
        ["n2", "--subnet", "10.12.0.0/24"],
        ["Foo", "--subnet", "10.13.0.0/24"],
        ["foo", "--subnet", "10.14.0.0/24"],
    ):
        assert made.play("network", "create", *words) == (0, "")
    return made


def inspected(bench: Bench, name: str) -> dict[str, dict[str, object]]:
    """The networks of a container, as inspect shows them."""
    status, out = bench.say("inspect", name)
    assert status == 0
    found: dict[str, dict[str, object]] = json.loads(out)[0]["NetworkSettings"]["Networks"]
    return found


@pytest.mark.parametrize(
    "argv",
    [
        ["network", "create", "n", "-d", ""],
        ["network", "create", "n", "-o", LABEL + "name="],
        ["network", "create", "n", "--gateway=", "--ip-range=", "--subnet="],
        ["network", "create", "n", "--ipv6", "--subnet", "10.15.0.0/24,fd00:15::/64"],
        ["network", "create", "n", "-o", LABEL + "host_binding_ipv4=::"],
        ["network", "create", "n", "-o", LABEL + "host_binding_ipv4=::1"],
        ["network", "connect", "n2", "box", "--alias", "a b"],
        ["stop", "-t", "0", "box"],
        ["stop", "--time", "1", "box"],
        ["restart", "--timeout", "-1", "box"],
        [*RUN, "--network", "host", "--mac-address", "02:00:00:00:00:31"],
        [*RUN, "--network", "container:box", "--mac-address", "02:00:00:00:00:31"],
        [*RUN, "--mac-address", "0200.0000.0077"],
        [*RUN, "-p", "target=80,published=8010,bogus=1"],
        [*RUN, "-p", "7001:80/"],
        [*RUN, "-p", "7001:80/tcp/udp"],
        [*RUN, "-P", "--expose", "90/bogus"],
        [*RUN, "--hostname", "a b"],
        [*RUN, "--hostname=-x"],
        [*RUN, "--hostname", "."],
        [*RUN, "--hostname", "x" * 64],
        [*RUN, "--domainname", "a b"],
        [*RUN, "--dns-option", ""],
        [*RUN, "--dns-search", "."],
        [*RUN, "--add-host", "a b:10.0.0.1"],
        [*RUN, "--network", "n1", "--network-alias", ""],
        [*RUN, "--network", "n1", "--network", "n2"],
    ],
)
def test_docker_takes(bench: Bench, argv: list[str]) -> None:
    """No word of error."""
    assert bench.play(*argv) == (0, "")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--name", "a"], "Invalid container name (a), only [a-zA-Z0-9][a-zA-Z0-9_.-]"),
        (["--network", "bridge", "--network", "n1"], "cannot attach both user-defined and non-"),
        (["--network", "n1", "--network", "default"], "cannot attach both user-defined and non-"),
        (["--network", "n1", "--network", "none"], "cannot attach both user-defined and non-"),
        (["--network", "name=n1,ip=10.11.0.9", "--ip", "10.11.0.8"], "both --ip and per-network"),
        (["--network", "name=n1,ip6=fd00:1::9", "--ip6", "fd00:1::8"], "both --ip6 and per-net"),
        (
            ["--mac-address", "02:00:00:00:00:02", "--network", f"name=n1,mac-address={MAC}"],
            "both --mac-address and per-network MAC address",
        ),
        (["--network", "name=n1,alias=x", "--network-alias", "y"], "both --network-alias and"),
        (
            ["--network", "name=n1,link-local-ip=169.254.9.9", "--link-local-ip", "169.254.9.8"],
            "both --link-local-ip and per-network link-local IP addresses",
        ),
        (["--network", "name=n2,,alias=x"], "invalid field"),
        (["--network", "name=Bar"], "network bar not found"),
        (["--dns-search=-bad"], "-bad is not a valid domain"),
        (["--dns-search", "a..b"], "a..b is not a valid domain"),
    ],
)
def test_docker_refuses(bench: Bench, argv: list[str], message: str) -> None:
    """In Docker's words, with its exit status; nothing is left."""
    before = bench.shape()
    status, said = bench.play("run", "-d", *argv)
    assert (status, message in said) == (125, True), said
    assert bench.shape() == before


def test_plain_flags_are_the_first_network_s(bench: Bench) -> None:
    """Address, alias and MAC; the other network has its own choice."""
    plain = ["--ip", "10.11.0.44", "--ip6", "fd00:1::44", "--network-alias", "x"]
    assert bench.play(*RUN, *TWO, *plain, "--mac-address", "02:00:00:00:00:44") == (0, "")
    first, second = (inspected(bench, "c1")[name] for name in ("n1", "n2"))
    assert (first["IPAddress"], first["GlobalIPv6Address"], first["Aliases"]) == (
        "10.11.0.44",
        "fd00:1::44",
        ["x"],
    )
    assert (first["MacAddress"], second["Aliases"]) == ("02:00:00:00:00:44", None)
    assert second["MacAddress"] != "02:00:00:00:00:44"


def test_the_long_form_names_another_network_than_the_short(bench: Bench) -> None:
    """Foo is foo there."""
    assert bench.play(*RUN, "--network", "name=Foo,alias=DB") == (0, "")
    assert inspected(bench, "c1")["foo"]["Aliases"] == ["db"]
    assert bench.play("run", "-d", "--name", "c2", "--network", "Foo") == (0, "")
    assert list(inspected(bench, "c2")) == ["Foo"]


def test_an_empty_alias_is_shown_and_is_no_name(bench: Bench) -> None:
    """As an answer it would be the root's."""
    assert bench.play(*RUN, "--network", "n1", "--network-alias", "") == (0, "")
    names = inspected(bench, "c1")["n1"]["DNSNames"]
    assert isinstance(names, list)
    assert names[:2] == ["c1", ""]


@pytest.mark.parametrize(
    ("words", "argv", "auto_remove"),
    [
        (["--rm", "true"], ["true"], True),
        (["--rm=true", "true"], ["true"], True),
        (["--rm=false", "true"], ["true"], False),
        (["--privileged=0", "--rm=T", "true"], ["true"], True),
        (["--sig-proxy", "sh", "-c", "true"], ["sh", "-c", "true"], False),
        (["--sig-proxy=false", "true"], ["true"], False),
        (
            ["-e", "--rm=false", "echo", "--rm=false", "--sig-proxy"],
            ["echo", "--rm=false", "--sig-proxy"],
            False,
        ),
        (["-itp", "80", "--", "--rm=true"], ["--rm=true"], False),
    ],
)
def test_flags_take_a_value_behind_an_equals_sign_alone(
    words: list[str], argv: list[str], auto_remove: bool, bench: Bench
) -> None:
    """The next word is not theirs, and the command's own words are left alone."""
    assert bench.say(*RUN, "--network", "none", *words)[0] == 0
    status, out = bench.say("inspect", "c1")
    (box,) = json.loads(out)
    assert status == 0
    assert box["HostConfig"]["AutoRemove"] is auto_remove
    assert [box["Path"], *box["Args"]] == argv


@pytest.mark.parametrize("words", [["--rm=maybe"], ["--sig-proxy=2"], ["--privileged="]])
def test_a_flag_is_true_or_false(words: list[str], bench: Bench) -> None:
    """Anything else is refused in one line."""
    status, complaint = bench.play(*RUN, *words, "true")
    assert status == 125
    assert complaint.startswith("plumb: invalid argument")


def test_a_containers_log_config(bench: Bench) -> None:
    """HostConfig.LogConfig: Docker's driver json-file, with the options that were given."""
    assert bench.say(*RUN, "--network", "none", "--log-opt", "max-size=2m", "true")[0] == 0
    (box,) = json.loads(bench.say("inspect", "c1")[1])
    assert box["HostConfig"]["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "2m"}}
