"""Who may import whom, so that the house stays in storeys.

Values below, the machine behind one door, the words on top.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from tests import REPOSITORY
from tests.labs import Lab

MODULES = {
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((REPOSITORY / "plumb").rglob("*.py"))
}
LONGEST = 400

FLOORS = (
    ("root", "address", "frozen", "digest"),
    ("errors",),
    ("things",),
    ("plan",),
    ("model",),
    ("drivers", "store", "kernel"),
    ("foreign",),
    ("engine",),
    ("explain",),
    ("probes", "trace", "compose", "doctor"),
    ("draw",),
    ("views",),
    ("lab",),
    ("cli", "pytest_plugin"),
    ("prefork",),
    ("agent",),
)
"""The floors, lowest first.

A package imports itself and what lies below it, never what lies beside it.
"""
NARROW = {
    "plumb.prefork.client": {"plumb", "plumb.root", "plumb.kernel.process.become"},
    "plumb.__main__": {"plumb.cli", "plumb.prefork.client", "plumb.prefork.streams"},
}
"""What every command line loads before anything else: it imports just these."""
ROOM = 16
"""Modules that a package may have, so that its folder can be read at a glance."""
MAPPED = re.compile(r"^ *(\w+)  +\S", re.MULTILINE)
"""A line of a map: a module, two spaces or more, words."""
DOORS = {
    "iptc": "plumb.kernel",
    "ctypes": "plumb.kernel",
    "subprocess": "plumb.kernel",
    "scapy": "plumb.probes.packets",
}


@cache
def imports(module: str) -> set[str]:
    """The modules that a module imports anywhere in it, those for type checkers too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written out in full"
            base = node.module or ""
            found.update(
                full if (full := f"{base}.{alias.name}") in MODULES else base
                for alias in node.names
            )
    return found


def package(module: str) -> str:
    """The top-level package or module of ours that a module lies in; empty for plumb itself."""
    return module.split(".")[1] if "." in module else ""


def within(name: str, entry: str) -> bool:
    """Whether a module is that one, or lies in that package."""
    return name == entry or name.startswith(entry + ".")


def ours(module: str) -> set[str]:
    """The modules of plumb that a module imports."""
    return {name for name in imports(module) if within(name, "plumb")}


@pytest.mark.parametrize(
    "module", [name for name in MODULES if package(name) not in ("", "__main__")]
)
def test_a_module_imports_only_what_is_below_it(module: str) -> None:
    """Nobody imports upward, nor sideways."""
    floor = {name: number for number, names in enumerate(FLOORS) for name in names}
    here = package(module)
    wrong = {
        name
        for name in ours(module)
        if package(name) not in ("", here) and floor[package(name)] >= floor[here]
    }
    assert not wrong, f"{module} must not import {', '.join(sorted(wrong))}"


def test_no_module_imports_itself_in_a_circle() -> None:
    """Imports lead downward: those within functions and for type checkers count as well."""
    below = {module: ours(module) & set(MODULES) - {module} for module in MODULES}
    while leaves := [module for module, names in below.items() if not names]:
        below = {m: names - set(leaves) for m, names in below.items() if m not in leaves}
    assert not below, f"in circles, or above one: {', '.join(sorted(below))}"


@pytest.mark.parametrize("module", NARROW)
def test_a_command_line_loads_few_modules(module: str) -> None:
    """What asks for a warmed process knows of nothing else in plumb."""
    assert ours(module) <= NARROW[module]


@pytest.mark.parametrize(("library", "door"), DOORS.items())
def test_the_machine_has_one_door(library: str, door: str) -> None:
    """What touches the kernel or the wire is imported behind its door only."""
    users = {
        module
        for module in MODULES
        if any(name.split(".")[0] == library for name in imports(module))
    }
    assert all(within(module, door) for module in users), users


def test_proc_is_read_behind_the_door() -> None:
    """No module but the kernel's, and the one that every command starts with, has a path under
    /proc; a mount of it is described among the things."""

    def mentions(module: str) -> bool:
        tree = ast.parse(MODULES[module].read_text())
        return any(
            isinstance(node, ast.Constant) and str(node.value).startswith("/proc")
            for node in ast.walk(tree)
        )

    assert [
        module for module in MODULES if not within(module, "plumb.kernel") and mentions(module)
    ] == ["plumb.prefork.client", "plumb.things.mounts"]  # the first can afford no import


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_read_in_one_sitting(module: str) -> None:
    """No module is longer than 400 lines."""
    assert len(MODULES[module].read_text().splitlines()) <= LONGEST


def inside(module: str) -> set[str]:
    """The modules and sub-packages of a package, by the names that they have in it."""
    return {
        name.removeprefix(module + ".") for name in MODULES if name.rpartition(".")[0] == module
    }


PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]


@pytest.mark.parametrize("module", PACKAGES)
def test_a_package_has_a_map_of_its_modules(module: str) -> None:
    """The docstring names each module and sub-package in a line, and none that is not there."""
    named = MAPPED.findall(ast.get_docstring(ast.parse(MODULES[module].read_text())) or "")

    assert len(named) == len(set(named))
    assert set(named) == inside(module)


@pytest.mark.parametrize("module", PACKAGES)
def test_a_folder_can_be_read_at_a_glance(module: str) -> None:
    """No package has more modules than that."""
    modules = {name for name in inside(module) if f"{module}.{name}" not in PACKAGES}
    assert len(modules) <= ROOM


def imported_by(code: str, root: str) -> set[str]:
    """The top-level packages that are loaded when a line of Python has run in a fresh
    interpreter."""
    line = f"{code}\nimport sys; print('LOADED', *{{name.split('.')[0] for name in sys.modules}})"
    ran = subprocess.run(
        [sys.executable, "-c", line],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PLUMB_ROOT": root, "PLUMB_CONFIG": ""},
    )
    return set(ran.stdout.rpartition("LOADED")[2].split())


def test_a_command_line_begins_with_next_to_no_imports(tmp_path: Path) -> None:
    """What asks for a warm process imports nothing that is written in Python and not plumb's.

    Each such module costs a millisecond.
    """
    begun = imported_by("pass", str(tmp_path))
    assert imported_by("import plumb.__main__, plumb.prefork.client", str(tmp_path)) - begun <= {
        "plumb",
        "_socket",
        "errno",
        "__future__",
    }


def test_what_becomes_a_command_imports_little() -> None:
    """Between `exec` and its command stands the start of an interpreter, and these imports."""
    line = (
        f"import sys; sys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from plumb.prefork import client\n"
        "from plumb.kernel.process import become\n"
        "from plumb.kernel.events import journal_file\n"
        "print(*sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", line], capture_output=True, text=True, check=True
    )
    assert {"ctypes", "plumb.kernel.process.shim"} <= set(ran.stdout.split())
    assert {"contextlib", "enum", "json", "re", "typing"}.isdisjoint(ran.stdout.split())


def test_importing_plumb_costs_next_to_nothing(tmp_path: Path) -> None:
    """`import plumb` loads none of the libraries that take time."""
    assert imported_by("import plumb", str(tmp_path)).isdisjoint(
        {"iptc", "scapy", "subprocess", "sqlite3", "click"}
    )


@pytest.mark.parametrize(
    "line", [["network", "ls"], ["ps", "-a"], ["network", "inspect", "base"], ["network", "--help"]]
)
def test_looking_needs_no_netlink(lab: Lab, line: list[str]) -> None:
    """Commands that only read the record load neither iptc nor scapy, nor OpenSSL and pathlib."""
    with lab.host() as host:
        host.create_network("base")
    call = f"import plumb.cli; assert plumb.cli.main({line!r}) == 0"
    loaded = imported_by(call, str(lab.root))
    assert loaded.isdisjoint({"iptc", "scapy", "_hashlib", "pathlib"})


def test_the_prefork_server_leaves_out_what_few_commands_need(tmp_path: Path) -> None:
    """Scapy alone would take half of its start and of its memory."""
    loaded = imported_by("from plumb.prefork import server; server.load()", str(tmp_path))
    assert "click" in loaded
    assert loaded.isdisjoint({"pyroute2", "scapy", "pytest"})


BUDGET = {
    "network ls": 180,
    "run -d --name web --network base": 327,
    "ps": 177,
    "inspect web": 180,
    "rm -f web": 328,
}
"""Modules that a command line in a process of its own may load, Python's own among them.

Each costs about half a millisecond. The numbers are one in twenty above what was needed when they
were set.
"""


def test_a_cold_command_loads_no_more_than_it_needs(lab: Lab) -> None:
    """Whoever adds an import to a command's path sees it here."""
    with lab.host() as host:
        host.create_network("base")
    loaded = {line: modules_loaded(line.split(), str(lab.root)) for line in BUDGET}
    assert {line: count for line, count in loaded.items() if count > BUDGET[line]} == {}


def modules_loaded(argv: list[str], root: str) -> int:
    """The number of modules in a fresh interpreter after a command line."""
    line = f"import plumb.cli; assert plumb.cli.main({argv!r}) == 0\nprint(len(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys; {line}"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PLUMB_ROOT": root, "PLUMB_CONFIG": ""},
    )
    return int(ran.stdout.split()[-1])
