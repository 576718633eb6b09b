"""Direct return (`--opt dsr`): tasks answer past the balancer, and reach each other's service."""

from __future__ import annotations

from collections import Counter

import pytest

from plumb.drivers.services import task
from plumb.engine.cluster.balancing import FIRST_MARK
from plumb.frozen import replace
from plumb.kernel.linux import LinuxKernel
from plumb.model.net.status import TaskOf
from plumb.model.service.virtual import Balancing, Mechanism, VirtualService
from plumb.model.settings import Settings
from plumb.plan import plan
from plumb.things import Thing
from tests.host.service_hosts import N1, VIP, ServiceHost, ask, counted, even
from tests.host.test_services import IPVS, MEANS, balanced

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
