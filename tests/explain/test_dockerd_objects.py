"""A real Docker Engine of 20.10: each object that it has made is explained by its purpose."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from plumb.engine.reader import Reader
from plumb.explain import inside, on_host
from plumb.explain.explain import Found
from plumb.explain.known_objects import known_object
from plumb.explain.known_rules import SOMEBODYS, known
from plumb.explain.subject import Subject
from plumb.kernel.netfilter.iptables_save import saved
from tests import labs
from tests.foreign.dockerd import MISSING, Dockerd, dockerd
from tests.labs import sh, within

pytestmark = pytest.mark.skipif(bool(MISSING), reason=", ".join(MISSING))
OWN = frozenset({"lo", "eth0"})
HOOKS = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
SAVERS = tuple(
    f"{tool}-{kind}-save" for tool in ("iptables", "ip6tables") for kind in ("nft", "legacy")
)


@pytest.fixture(scope="module")
def docker() -> Iterator[Dockerd]:
    """An Engine with networks of each kind, and a published port."""
    with dockerd() as made:
        made.network("n1", "172.20.0.0/24")
        made.network("shut", "172.21.0.0/24", Internal=True)
        made.network(
            "apart", "172.22.0.0/24", Options={"com.docker.network.bridge.enable_icc": "false"}
        )
        made.run("web", "n1", publish={"80/tcp": "8080"})
        made.run("c2", "shut")
        made.run("c3", "apart")
        made.run("plain", "bridge")
        yield made


@pytest.fixture(autouse=True)
def asked(docker: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have DOCKER_HOST name that Engine."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{docker.socket}")


def rules() -> Iterator[tuple[str, str, str]]:
    """Rules of both variants of iptables: table, chain, text."""
    for command in SAVERS:
        for table, chains in saved(command).items():
            for chain, (_, specs) in chains.items():
                yield from ((table, chain, spec) for spec in specs)


def test_each_rule_is_explained(docker: Dockerd) -> None:
    """Of the host, and of each container: the embedded DNS server's."""
    unknown = [each for each in rules() if known(*each) == SOMEBODYS]
    for name in ("web", "c2", "c3", "plain"):
        text = within(docker.netns(name), "iptables-nft-save; iptables-legacy-save", check=False)
        table = ""
        for line in text.splitlines():
            table = line[1:] if line.startswith("*") else table
            if line.startswith("-A "):
                _, chain, words = line.split(" ", 2)
                if known(table, chain, words, inside=True) == SOMEBODYS:
                    unknown.append((table, chain, words))
    assert unknown == []
    assert sum(1 for _ in rules()) > 20


def test_each_chain_link_and_namespace_has_an_owner(docker: Dockerd) -> None:
    """By its name, and by what its engine says."""
    chains = {c for each in SAVERS for t in saved(each).values() for c in t if c not in HOOKS}
    links = set(re.findall(r"(?m)^(\S+?)(?:@\S+)? ", sh("ip -br link"))) - OWN
    missing = [("chain", each) for each in chains if known_object("chain", each) is None]
    missing += [("link", each) for each in links if known_object("link", each) is None]
    assert missing == []
    assert {"DOCKER", "DOCKER-USER", "DOCKER-ISOLATION-STAGE-1"} <= chains
    assert {"docker0", docker.link("n1")} <= links


@pytest.mark.parametrize(
    ("subject", "says"),
    [
        ("docker0", "network"),
        ("DOCKER-USER", "administrator"),
        ("DOCKER-ISOLATION-STAGE-2", "another are dropped"),
        ("net.ipv4.ip_forward", "the host routes"),
        ("-A DOCKER-USER -j RETURN", "nobody has a rule"),
    ],
)
def test_explain_tells_it(docker: Dockerd, subject: str, says: str) -> None:
    """As the command would."""
    found = on_host.find(Subject.parse((subject,)))
    told = [each.reason.why for each in (*found.exact, *found.related)]
    assert any(says in why for why in told), told


def test_explaining_changes_nothing(docker: Dockerd) -> None:
    """It reads."""
    before = labs.state()
    on_host.find(Subject.parse(("docker0",)))
    assert labs.state() == before


def test_rules_inside_a_container_are_explained(docker: Dockerd) -> None:
    """What is in Docker's container and not Docker's; its name servers' rules are."""
    inside_web = f"nsenter --net={docker.netns('web')} iptables"
    sh(f"{inside_web} -P INPUT DROP")
    try:
        with Reader(docker.lab.root, settings={}) as reader:
            found = inside.find(reader, Subject.parse(("web/INPUT",)), Found())
            whole = inside.find(
                reader, Subject.parse(("web",)), on_host.find(Subject.parse(("web",)))
            )
        assert [each.name for each in found.exact] == ["chain filter/INPUT of iptables-nft"]
        assert found == whole
    finally:
        sh(f"{inside_web} -P INPUT ACCEPT")
