"""Direct return (`--opt dsr`): tasks answer past the balancer, and reach each other's service."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Interface

import pytest

from plumb.address import ip_on
from plumb.drivers.services import task
from plumb.engine.cluster.balancing import FIRST_MARK, require
from plumb.errors import PlumbError, Unsupported
from plumb.frozen import replace
from plumb.kernel.features import choices, detect
from plumb.kernel.features.netfilter_checks import extension
from plumb.kernel.linux import LinuxKernel
from plumb.kernel.system import System, this_system
from plumb.model.cnm import Endpoint
from plumb.model.net.status import TaskOf
from plumb.model.service.virtual import Backend, Balancing, Mechanism, Rules, VirtualService
from plumb.model.settings import Settings
from plumb.plan import plan
from plumb.things import Thing
from plumb.things.iptables import Rule
from plumb.things.layer3 import Address
from plumb.things.nftables import NftRule
from tests.host.service_hosts import N1, VIP, ServiceHost, ask, counted, even, service_host
from tests.host.test_services import IPVS, MEANS, balanced
from tests.labs import sh

pytestmark = pytest.mark.needs("vxlan")
DIRECT = replace(N1, overlay=replace(N1.overlay, direct_return=True))


@IPVS
def test_the_clients_address_stays_and_a_task_reaches_the_others() -> None:
    """Tasks answer past the balancer, which has rewritten nothing."""
    with balanced("ipvs", (DIRECT,)) as made:
        made.start(2)
        client = made.run("c1", "n1")
        made.balance(made.service())
        own = made.host.endpoints(client)[0].ips[0].ip
        answers = {ask(made.inside("c1"), VIP.ip) for _ in range(4)}
        assert answers == {f"web1 {own}", f"web2 {own}"}
        asked = counted(made.inside("web1"), VIP.ip, 8)
        assert even(asked, {"web1": 1, "web2": 1}, 0.01)


@pytest.mark.parametrize("backend", MEANS[:2])
def test_what_a_task_asks_its_own_service_goes_to_all_tasks(backend: str) -> None:
    """The rules of tasks alone, which need no IPVS, are built by hand."""
    with balanced(backend, (DIRECT,)) as made:
        made.start(3)
        asked = made.inside("web1")
        for balancing, kind, names in (
            (Balancing.RR, "tcp", 3),
            (Balancing.RR, "udp", 3),
            (Balancing.SH, "tcp", 1),
        ):
            built = _built(made, made.service(balancing=balancing), backend)
            found = Counter(ask(asked, VIP.ip, kind=kind) for _ in range(9))
            LinuxKernel().take(plan(built, []))
            own = made.backends("n1")[0].ip
            assert own is not None
            assert len({said.split()[0] for said in found}) == names
            assert {said.split()[1] for said in found} == {str(own.ip)}, "answered past all others"


@pytest.mark.parametrize(
    ("rules", "kinds"), [(Rules.SETTING, {Rule}), (Rules.NFTABLES, {NftRule}), (Rules.NONE, set())]
)
def test_a_task_is_built_with_what_the_kernel_has(rules: Rules, kinds: set[type]) -> None:
    """Without anything to choose with it is built all the same, and asks itself, as in Docker."""
    own = Endpoint(
        "e1", N1.id, "s1", "veth1", "eth0", "02:42:0a:32:00:03", ip=IPv4Interface("10.50.0.3/24")
    )
    one = VirtualService(
        "web",
        N1.id,
        "web",
        ip=VIP,
        backends=(Backend("t1", "web.1", IPv4Interface("10.50.0.3/24")),),
        mark=FIRST_MARK,
        mechanism=Mechanism.IPVS,
        rules=rules,
    )
    found = list(task.things(own, DIRECT, TaskOf("", "", ""), [], one, "", Settings()))
    assert {type(thing) for thing in found} & {Rule, NftRule} == kinds
    assert Address("lo", ip_on(VIP.ip, 32), "") in found


@pytest.mark.needs("nft_numgen", "nft_hash")
@pytest.mark.parametrize(("balancing", "answering"), [(Balancing.RR, 2), (Balancing.SH, 1)])
def test_a_balancer_chooses_by_nftables_where_iptables_cannot(
    balancing: Balancing, answering: int
) -> None:
    """The setting firewall-backend is iptables, and the kernel has neither match nor IPVS."""
    system = replace(
        this_system(),
        has_ipvs=lambda: False,
        has_choice=lambda backend, by_source: backend == "nftables",
    )
    with service_host(system) as made:
        made.start(2)
        made.run("c1", "n1")
        made.balance(made.service(balancing=balancing))
        assert len(counted(made.inside("c1"), VIP.ip, 8)) == answering


@pytest.mark.parametrize("balancing", Balancing)
def test_a_service_that_the_kernel_cannot_balance_is_refused(balancing: Balancing) -> None:
    """The error is one line, and names the modules."""
    nothing = System(has_ipvs=lambda: False, has_choice=lambda backend, by_source: False)
    with pytest.raises(Unsupported) as refused:
        require(balancing, nothing)
    assert ("needs IPVS" if balancing is Balancing.LC else "kernel has neither") in str(
        refused.value
    )
    assert (
        "plumb env" if balancing is Balancing.LC else "modprobe -a ip_vs_"
    ) in refused.value.hint
    if balancing is not Balancing.LC:
        require(balancing, replace(nothing, has_choice=lambda backend, by: backend == "nftables"))


@pytest.mark.parametrize(
    ("backend", "by_source", "feature"),
    [
        ("iptables", False, "statistic"),
        ("iptables", True, "HMARK"),
        ("nftables", False, "nft_numgen"),
        ("nftables", True, "nft_hash"),
    ],
)
def test_what_the_kernel_is_asked_for_is_what_env_tells(
    backend: str, by_source: bool, feature: str
) -> None:
    """A node asks without a rule that it writes; `plumb env` writes one."""
    before = sh("nft list ruleset")
    assert choices.able(backend, by_source) == detect.able(feature).able
    assert sh("nft list ruleset") == before
    with pytest.raises((PlumbError, OSError)):
        extension("nosuch", target=by_source)


def _built(made: ServiceHost, asked: VirtualService, backend: str) -> list[Thing]:
    """Build what tasks have of a service by IPVS."""
    one = replace(asked, mark=FIRST_MARK, mechanism=Mechanism.IPVS)
    settings = Settings(firewall_backend=backend)
    things: list[Thing] = []
    for box in made.tasks.values():
        end = made.host.endpoints(box)[0]
        ns = made.host.namespace(box)
        part = box.task or TaskOf("", "", "")
        things += task.things(end, made.host.network("n1"), part, [], one, ns, settings)
    LinuxKernel().take(plan([], things))
    return things
