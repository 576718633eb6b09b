"""Who may import whom, so that the house stays in storeys: values below, the machine behind one door, the words on top."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.labs import Lab

REPOSITORY = Path(__file__).parent.parent
MODULES = {".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__"): path
           for path in sorted((REPOSITORY / "plumb").rglob("*.py"))}
LONGEST = 400

VALUES = ("container_options", "network_options", "cnm", "modes", "errors", "options", "settings", "things", "layout")
MACHINERY = (*VALUES, "plan", "drivers", "services", "kernel", "store", "engine", "probes")
ALLOWED: dict[str, tuple[str, ...]] = {
    "": ("cnm", "errors", "settings", "engine.host"),               # the public names, for type checkers; imported when they are used
    "errors": ("plan",),                                            # StepFailed names a Step, to type checkers only
    "cnm": ("modes",),
    "modes": (),
    "network_options": ("errors", "modes", "options"),
    "root": (),
    "layout": ("cnm", "root"),                                      # a sandbox's place, for type checkers
    "options": ("cnm", "errors"),                                   # they make values, and refuse what makes none
    "settings": ("cnm", "errors", "options"),
    "container_options": ("cnm", "errors", "options"),
    "things": ("things",),
    "plan": ("errors", "things"),
    "drivers": ("drivers", "cnm", "modes", "things", "settings", "layout", "options", "container_options"),
    "services": ("services", "cnm", "modes", "errors", "things", "settings", "options"),
    "kernel.request": ("root", "kernel.shim"),                      # all that a command line begins with
    "kernel": ("kernel", "errors", "plan", "things", "cnm", "layout", "options", "container_options", "tracing.records", "tracing.scene"),
    "views": ("views", "errors", "cnm", "modes", "things", "plan", "layout", "services.names", "services.ports"),
    "views.story": ("tracing", "things"),
    "views.pcapng": ("tracing",),
    "views.matrix": ("views", "probes.naming", "probes.outcomes", "probes.owners", "probes.values", "probes.whole"),
    "probes": (*VALUES, "plan", "probes", "kernel", "services.ports", "tracing.records"),
    "probes.values": ("cnm",),
    "probes.promises": ("cnm", "modes", "things", "plan", "probes.lan", "probes.sharing", "probes.values"),
    "probes.lan": ("cnm", "modes"),
    "probes.sharing": ("cnm", "probes.values"),
    "probes.published": ("cnm", "probes.promises", "probes.sharing", "probes.values", "services.ports"),
    "probes.outcomes": ("cnm", "probes.telling", "probes.values"),
    "probes.parties": (*VALUES, "probes", "kernel", "engine.reading", "tracing.records"),       # who there is, from the record
    "tracing": ("tracing", "cnm", "errors", "things"),
    "tracing.records": (),
    "tracing.scene": ("tracing.records",),                          # the kernel answers with these two
    "tracing.probe": ("tracing", "errors", "kernel.namespaces"),
    "tracing.ground": (*VALUES, "tracing", "kernel", "engine.reading"),
    "tracing.gather": (*VALUES, "tracing", "kernel"),
    "tracing.errands": (*VALUES, "tracing", "kernel", "engine.reading"),
    "tracing.watching": (*VALUES, "tracing", "kernel"),
    "tracing.tracer": (*VALUES, "tracing", "engine.reading"),
    "store": (*VALUES, "plan", "store"),
    "engine": MACHINERY,
    "agent": (*MACHINERY, "warmer"),
    "warmer": ("kernel.rendezvous", "kernel.request", "services.loop"),
    "warm": ("kernel", "cli"),
    "cli": (*MACHINERY, "tracing", "views", "cli"),
    "pytest_plugin": (*MACHINERY, "views", "pytest_plugin", "tracing"),
    "__main__": ("cli", "kernel.request"),
}
DOORS = {"pyroute2": "plumb.kernel", "iptc": "plumb.kernel", "ctypes": "plumb.kernel", "subprocess": "plumb.kernel",
         "scapy": "plumb.probes.packets"}


def imports(module: str) -> set[str]:
    """The modules that a module imports anywhere in it, those for type checkers too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are written out in full"
            base = node.module or ""
            found.update(full if (full := f"{base}.{alias.name}") in MODULES else base for alias in node.names)
    return found


def storey(module: str) -> str:
    """The most special entry of the table that a module falls under."""
    name = module.removeprefix("plumb").removeprefix(".")
    return max((entry for entry in ALLOWED if within(name, entry)), key=len, default="?") if name else ""


def within(name: str, entry: str) -> bool:
    """Whether a module is that one, or lies in that package."""
    return name == entry or (entry != "" and name.startswith(entry + "."))


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_is_below_it(module: str) -> None:
    """Every import is one that the table allows."""
    allowed = ALLOWED[storey(module)]
    ours = {name.removeprefix("plumb").removeprefix(".") for name in imports(module) if name.split(".")[0] == "plumb"} - {""}
    wrong = {name for name in ours if not any(within(name, entry) for entry in allowed)}
    assert not wrong, f"{module} must not import {', '.join(sorted(wrong))}"


@pytest.mark.parametrize(("library", "door"), DOORS.items())
def test_the_machine_has_one_door(library: str, door: str) -> None:
    """What touches the kernel or the wire is imported behind its door only."""
    users = {module for module in MODULES if any(name.split(".")[0] == library for name in imports(module))}
    assert all(within(module, door) for module in users), users


def test_proc_is_read_behind_the_door() -> None:
    """No module but the kernel's has a path under /proc in its code."""
    def mentions(module: str) -> bool:
        tree = ast.parse(MODULES[module].read_text())
        return any(isinstance(node, ast.Constant) and str(node.value).startswith("/proc") for node in ast.walk(tree))

    assert [module for module in MODULES if not within(module, "plumb.kernel") and mentions(module)] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_can_be_read_in_one_sitting(module: str) -> None:
    """No module is longer than 400 lines."""
    assert len(MODULES[module].read_text().splitlines()) <= LONGEST


def imported_by(code: str, root: str) -> set[str]:
    """The top-level packages that are loaded when a line of Python has run in a fresh interpreter."""
    line = f"{code}\nimport sys; print('LOADED', *{{name.split('.')[0] for name in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True, cwd="/",
                         env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PLUMB_ROOT": root, "PLUMB_CONFIG": ""})
    return set(ran.stdout.rpartition("LOADED")[2].split())


def test_a_command_line_begins_with_next_to_no_imports(tmp_path: Path) -> None:
    """What asks for a warm process imports nothing that is written in Python and not plumb's: each such module costs a millisecond."""
    begun = imported_by("pass", str(tmp_path))
    assert imported_by("import plumb.__main__, plumb.kernel.request", str(tmp_path)) - begun <= {"plumb", "_socket", "__future__"}


def test_importing_plumb_costs_next_to_nothing(tmp_path: Path) -> None:
    """`import plumb` loads none of the libraries that take time."""
    assert imported_by("import plumb", str(tmp_path)).isdisjoint({"pyroute2", "iptc", "scapy", "subprocess", "sqlite3", "click"})


@pytest.mark.parametrize("line", [["network", "ls"], ["ps", "-a"], ["network", "inspect", "base"], ["network", "--help"]])
def test_looking_needs_no_netlink(lab: Lab, line: list[str]) -> None:
    """Commands that only read the record load neither pyroute2 nor iptc nor scapy."""
    with lab.host() as host:
        host.create_network("base")
    call = f"import plumb.cli; assert plumb.cli.main({line!r}) == 0"
    assert imported_by(call, str(lab.root)).isdisjoint({"pyroute2", "iptc", "scapy"})
