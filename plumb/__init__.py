"""plumb: Docker's networking, rebuilt from the kernel up.

Lower floors first; a module imports from lower floors and from its own package only.

    root            finds the root that a command is about, with next to no imports
    errors          the tree of all that can go wrong
    address         unions of both IP versions, and their address family
    frozen          frozen dataclasses that take little time to define
    digest          SHA-256 of a text
    things          frozen values for what must exist in a namespace
    plan            steps from what is to what shall be, and back
    model           what is asked for, as frozen values, and the rules for it; no I/O
    drivers         what a network and an endpoint of each kind consist of
    store           what was asked for, what may exist because of it, and the journal
    kernel          the only code that reads and changes the machine
    foreign         containers and networks that other engines have made on this host
    engine          one change from its request to the record: allocate, plan, carry out, repair
    draw            what is wired to what, as one value
    explain         what an object is, whose, why it is there, and what breaks without it
    compose         networks and containers of compose files
    probes          what a network promises, tried with real traffic
    trace           the path of one packet, and the cause where it does not arrive
    doctor          known faults of a whole host, found in a snapshot of it
    views           results as commands, tables, Docker's JSON, capture files
    lab             hosts made of namespaces, several on one machine
    cli             the command line, in Docker's words
    pytest_plugin   networks in tests, on hosts made of namespaces
    prefork         a process that has everything imported, and the client that hands commands to it
    agent           the background process that holds published ports and answers for names
    __main__        the entry of the `plumb` command and of `python -m plumb`
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, which takes a command line 10 ms to import
if TYPE_CHECKING:
    from typing import Any

    from plumb.engine.host import Host
    from plumb.engine.verbs import Transaction
    from plumb.errors import (
        Broken,
        Conflict,
        Exhausted,
        Invalid,
        KernelRefused,
        NotFound,
        PlumbError,
        Unsupported,
    )
    from plumb.model.cnm import Attachment, Endpoint, Network, Sandbox
    from plumb.model.settings import Settings
    from plumb.plan import StepFailed

__version__ = "0.1.0"

__all__ = [
    "Attachment",
    "Broken",
    "Conflict",
    "Endpoint",
    "Exhausted",
    "Host",
    "Invalid",
    "KernelRefused",
    "Network",
    "NotFound",
    "PlumbError",
    "Sandbox",
    "Settings",
    "StepFailed",
    "Transaction",
    "Unsupported",
]

_WHERE = {
    "Host": "plumb.engine.host",
    "Transaction": "plumb.engine.verbs",
    "Settings": "plumb.model.settings",
    "Network": "plumb.model.cnm",
    "Sandbox": "plumb.model.cnm",
    "Endpoint": "plumb.model.cnm",
    "Attachment": "plumb.model.cnm",
    "StepFailed": "plumb.plan",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import plumb` costs next to nothing."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module(_WHERE.get(name, "plumb.errors")), name)
    raise AttributeError(f"module 'plumb' has no attribute {name!r}")
