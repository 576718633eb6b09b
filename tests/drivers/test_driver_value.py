"""The drivers' values: each is whole, and nobody else compares a driver's name."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields

import pytest

from plumb.drivers import DRIVERS, OTHER_NAMES
from plumb.drivers.driver import Driver
from plumb.model.cnm import Network
from plumb.model.driver_options import DriverOptions
from plumb.model.driver_traits import BUILT_IN, TRAITS, Registry, Traits
from tests import REPOSITORY
from tests.labs import Lab
from tests.test_layers import MODULES, within

NAMES = {*DRIVERS, *OTHER_NAMES}
UNMISTAKABLE = {"bridge", "macvlan", "ipvlan", "overlay"}
"""Those that are compared by their driver's name alone, whatever they are compared with.

"host" and "none" are modes of a container and names of networks as well.
"""
LINK_KINDS = ("plumb.kernel", "plumb.things")
"""Where these words are kinds of links (IFLA_INFO_KIND), and families of nftables."""
OTHERS = {
    ("plumb.engine.networks", "op.system.kind_of(op.settings.bridge) != 'bridge'"),
    ("plumb.trace.collect_state", "link.kind == 'bridge'"),
    ("plumb.trace.run", "link.kind == 'bridge'"),
    ("plumb.trace.assemble", "line.family != 'bridge'"),
    ("plumb.trace.causes.by_rule", "line.family != 'bridge'"),
    ("plumb.model.foreign_firewall", "'bridge' in self.values"),
    ("plumb.model.settings", "'bridge':"),
    ("plumb.model.lifecycle", "self.driver != 'none'"),
    ("plumb.model.lifecycle.log_drivers", "driver == 'none'"),
    ("plumb.foreign.cni", "kind != 'bridge'"),
    ("plumb.foreign.docker_files", "name == 'bridge'"),
    *(("plumb.foreign.podman", f"{name!r}:") for name in ("bridge", "ipvlan", "macvlan")),
    ("plumb.compose.normal_form", "of.driver != 'bridge'"),
    ("plumb.compose.options", "service.network_mode == 'bridge'"),
}
"""What is no network driver's name elsewhere.

A link's kind, nftables' family, a key of daemon.json, the logging driver none, and words in other
engines' answers and in compose files.
"""


def words(node: ast.expr | None) -> set[object]:
    """The literals that an operand is, or has as its elements."""
    if isinstance(node, ast.Constant):
        return {node.value}
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        return {word for each in node.elts for word in words(each)}
    return set()


def is_driver(node: ast.expr) -> bool:
    """Whether an operand is a driver's name by its own name."""
    return getattr(node, "attr", getattr(node, "id", "")) == "driver"


def comparisons(tree: ast.AST) -> Iterator[str]:
    """The comparisons with a driver's name, in Python."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            literals = {word for side in sides for word in words(side)}
            if literals & UNMISTAKABLE or (any(map(is_driver, sides)) and literals & NAMES):
                yield ast.unparse(node)
        elif isinstance(node, ast.Dict):
            keys = {word for key in node.keys for word in words(key)} & UNMISTAKABLE
            yield from (f"{key!r}:" for key in sorted(map(str, keys)))
        elif isinstance(node, ast.MatchValue) and words(node.value) & UNMISTAKABLE:
            yield ast.unparse(node)


def places() -> list[str]:
    """The modules that must not know the drivers' names."""
    known = ("plumb.drivers", "plumb.cli", *LINK_KINDS)
    return [name for name in MODULES if not any(within(name, each) for each in known)]


def test_nobody_else_compares_a_driver_s_name() -> None:
    """Traits and the driver's functions say what differs."""
    found = {
        (module, text)
        for module in places()
        for text in comparisons(ast.parse(MODULES[module].read_text()))
    }
    assert found == OTHERS


@pytest.mark.parametrize(
    "line",
    [
        'net.driver == "bridge"',
        'net.driver in ("host", "null")',
        'driver != "none"',
        'kind in ("macvlan", "ipvlan")',
        '{"macvlan": 1}',
    ],
)
def test_such_a_comparison_is_found(line: str) -> None:
    """In each of the forms that it may have."""
    assert list(comparisons(ast.parse(line)))


@pytest.mark.parametrize("name", DRIVERS)
def test_a_driver_s_value_is_whole(name: str) -> None:
    """Its name is its key; its link's name fits; its stored options are a network's field."""
    driver = DRIVERS[name]
    assert driver.name == name
    assert len(driver.link_prefix) <= 3
    assert driver.stored in {"", *(field.name for field in fields(Network))}
    assert driver.own_options(()) == driver.defaults
    assert not (driver.bridge_in_host and driver.on_lan)


def test_other_names_are_of_drivers() -> None:
    """An alias leads to a driver and hides none."""
    assert set(OTHER_NAMES.values()) <= set(DRIVERS)
    assert not set(OTHER_NAMES) & set(DRIVERS)


def test_a_driver_is_a_value() -> None:
    """Nothing of it can be changed."""
    with pytest.raises(AttributeError):
        DRIVERS["bridge"].name = "other"  # type: ignore[misc]  # that is what is tried
    assert Driver(name="x") == Driver(name="x")


def test_networks_look_up_their_traits_in_the_table() -> None:
    """One that nobody has named is an error in a sentence."""
    assert TRAITS.drivers is DRIVERS
    with pytest.raises(LookupError, match="no driver 'x'; there are bridge, macvlan"):
        _ = Network("0" * 64, "n", "x").link
    with pytest.raises(LookupError, match="no driver 'x'; there are none"):
        Registry()["x"]


def test_the_traits_of_a_driver_are_known_without_it() -> None:
    """They are those of its value."""
    traits = [each.name for each in fields(Traits)]
    known = {each.name: [getattr(each, name) for name in traits] for each in BUILT_IN}
    assert known == {
        name: [getattr(driver, trait) for trait in traits] for name, driver in DRIVERS.items()
    }
    for each in BUILT_IN:
        assert each.own_options(()) == DriverOptions()
        assert each.stored or DRIVERS[each.name].own_options(()) == DriverOptions()


def test_a_driver_of_somebody_else_is_loaded_when_its_network_is_asked() -> None:
    """Once."""
    loaded = []

    def load() -> dict[str, Driver]:
        loaded.append("toy")
        return {"toy": Driver(name="toy", on_lan=True)}

    registry = Registry()
    registry.load = load
    assert not registry["bridge"].on_lan
    assert not loaded
    assert registry["toy"].on_lan
    assert registry["toy"].on_lan
    assert loaded == ["toy"]


@pytest.mark.parametrize("line", ["host.networks()", "[net.link for net in host.networks()]"])
def test_readers_load_no_drivers(lab: Lab, line: str) -> None:
    """It would cost every such command their imports."""
    with lab.host() as host:
        host.create_network("n")
    code = f"""import sys
from plumb.engine.reader import Reader
with Reader() as host:
    {line}
print("plumb.drivers.bridge" in sys.modules)"""
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY),
            "PLUMB_ROOT": str(lab.root),
            "PLUMB_CONFIG": "",
        },
    )
    assert ran.stdout.strip() == "False"
