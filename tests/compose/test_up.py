"""Up and down on a host: what is made, what is left alone, what goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from plumb import Conflict, Host, NotFound
from plumb.compose import carry_out
from plumb.compose.project import Project
from plumb.kernel.memory import MemoryKernel
from plumb.things import Key, Thing
from tests.compose import project, up

SHOP = """
services:
  web:
    command: serve
    ports: ["8080:80"]
    networks: [front, back]
    depends_on: [db]
  db:
    command: keep
    environment: {SIZE: "1"}
    networks:
      back: {ipv4_address: 10.9.1.5, aliases: [store]}
networks:
  front: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
  back: {internal: true, ipam: {config: [{subnet: 10.9.1.0/24}]}}
"""


def ids(host: Host) -> dict[str, str]:
    """Ids of containers and of networks that are not predefined, by name."""
    networks = {net.name: net.id for net in host.networks() if not net.predefined}
    return networks | {box.name: box.id for box in host.containers()}


def made_things(host: Host) -> dict[Key, Thing]:
    """Everything that is in the host's kernel."""
    assert isinstance(host.kernel, MemoryKernel)
    return dict(host.kernel.things)


def test_up_makes_what_the_file_says(host: Host, tmp_path: Path) -> None:
    """Networks and containers under the project's names."""
    changes = up(host, project(tmp_path, SHOP))

    assert set(ids(host)) == {"shop-web-1", "shop-db-1", "shop_front", "shop_back"}
    assert changes.start == ("shop-db-1", "shop-web-1")
    (end,) = host.endpoints(host.container("shop-db-1"))
    assert str(end.ip) == "10.9.1.5/24"


def test_a_second_up_changes_nothing(host: Host, tmp_path: Path) -> None:
    """And finds all of it running."""
    up(host, project(tmp_path, SHOP))
    before, things = ids(host), made_things(host)

    changes = up(host, project(tmp_path, SHOP))

    assert changes.none
    assert changes.running == ("shop-db-1", "shop-web-1")
    assert (ids(host), made_things(host)) == (before, things)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ('SIZE: "1"', 'SIZE: "2"', {"shop-db-1"}),
        ("8080:80", "8081:80", {"shop-web-1"}),
        ("aliases: [store]", "aliases: [store, data]", {"shop-db-1"}),
        ("10.9.0.0/24", "10.9.2.0/24", {"shop_front", "shop-web-1"}),
        ("networks: [front, back]", "networks: [back]", {"shop-web-1"}),
        ("depends_on: [db]", "depends_on: {db: {condition: service_started}}", set()),
        ("services:", "x-note: 1\nservices:", set()),
        ("command: serve", "command: [serve]", set()),
    ],
)
def test_only_what_changed_is_made_anew(
    host: Host, tmp_path: Path, old: str, new: str, changed: set[str]
) -> None:
    """A network takes its containers with it."""
    up(host, project(tmp_path, SHOP))
    before = ids(host)

    up(host, project(tmp_path, SHOP.replace(old, new)))

    after = ids(host)
    assert {name for name, ident in after.items() if before[name] != ident} == changed


def test_down_leaves_nothing(host: Host, tmp_path: Path) -> None:
    """Of the project; the host is as it was with plumb's own networks."""
    other = host.run("other")
    before = made_things(host)
    up(host, project(tmp_path, SHOP))

    carry_out.down(host, project(tmp_path, SHOP))

    assert ids(host) == {"other": other.id}
    assert made_things(host) == before
    assert carry_out.down(host, project(tmp_path, SHOP)).none


def test_a_container_that_stopped_is_started(host: Host, tmp_path: Path) -> None:
    """It is not made anew."""
    up(host, project(tmp_path, SHOP))
    before = ids(host)
    host.stop("shop-db-1")

    changes = up(host, project(tmp_path, SHOP))

    assert changes.start == ("shop-db-1",)
    assert ids(host) == before


def test_a_port_in_use_leaves_all_as_it_was(host: Host, tmp_path: Path) -> None:
    """Up is one change: no network of it is there."""
    host.run("first", publish="8080:80")
    before = ids(host)

    with pytest.raises(Conflict):
        up(host, project(tmp_path, SHOP))

    assert ids(host) == before


ONE = """
services:
  web: {command: serve, networks: [front]}
networks:
  front: {ipam: {config: [{subnet: 10.9.0.0/24}]}}
"""


def test_orphans_stay_until_they_are_to_go(host: Host, tmp_path: Path) -> None:
    """They are containers of services that the file no longer has."""
    up(host, project(tmp_path, SHOP))

    assert up(host, project(tmp_path, ONE)).orphans == ("shop-db-1",)
    assert "shop-db-1" in ids(host)

    up(host, project(tmp_path, ONE), remove_orphans=True)
    assert "shop-db-1" not in ids(host)


def test_the_number_of_containers_follows_scale(host: Host, tmp_path: Path) -> None:
    """Those that are there stay as they are."""
    text = "services: {web: {command: serve, scale: 3}}"
    up(host, project(tmp_path, text))
    before = ids(host)
    assert {"shop-web-1", "shop-web-2", "shop-web-3"} < set(before)

    up(host, project(tmp_path, text.replace("3", "2")))

    assert ids(host) == {name: before[name] for name in before if name != "shop-web-3"}


def test_chosen_services_come_with_what_they_need(host: Host, tmp_path: Path) -> None:
    """No other one."""
    text = "services: {a: {command: x, depends_on: [b]}, b: {command: x}, c: {command: x}}"
    changes = up(host, project(tmp_path, text), services=("a",))
    assert changes.start == ("shop-b-1", "shop-a-1")


def test_who_shares_a_network_stack_goes_with_it(host: Host, tmp_path: Path) -> None:
    """network_mode: service:NAME joins the namespace of that service's container."""
    text = "services: {vpn: {command: x}, app: {command: y, network_mode: 'service:vpn'}}"
    up(host, project(tmp_path, text))
    vpn, app = host.container("shop-vpn-1"), host.container("shop-app-1")
    assert app.target == vpn.id

    up(host, project(tmp_path, text.replace("command: x", "command: z")))

    assert host.container("shop-app-1").target == host.container("shop-vpn-1").id != vpn.id


def test_an_external_network_stays(host: Host, tmp_path: Path) -> None:
    """It is used as it is, and must be there."""
    text = """
services: {web: {command: serve, networks: [lan]}}
networks: {lan: {name: office, external: true}}
"""
    with pytest.raises(NotFound, match=r"compose.yaml:3: network office declared as external"):
        up(host, project(tmp_path, text))
    office = host.create_network("office")

    up(host, project(tmp_path, text))
    assert [end.network for end in host.endpoints(host.container("shop-web-1"))] == [office.id]

    carry_out.down(host, project(tmp_path, text))
    assert ids(host) == {"office": office.id}


def test_a_network_of_somebody_else_is_left_alone(host: Host, tmp_path: Path) -> None:
    """One of that name that is not the project's."""
    host.create_network("shop_default")
    with pytest.raises(Conflict, match="was not created for project shop"):
        up(host, project(tmp_path, "services: {web: {command: serve}}"))


def test_down_by_name_needs_no_file(host: Host, tmp_path: Path) -> None:
    """Labels say what belongs to the project."""
    up(host, project(tmp_path, SHOP))
    carry_out.down(host, Project("shop"))
    assert ids(host) == {}
