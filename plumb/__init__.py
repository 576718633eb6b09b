"""plumb: Docker's networking, rebuilt from the kernel up.

cnm, options, settings    what is asked for, as frozen values
things                    what must exist in the kernel because of it
drivers                   from the one to the other; each reads like the page that explains it
plan                      steps from what is to what shall be, and back
kernel                    the only door to the machine
store, engine             what is recorded; load, allot, narrate, plan, carry out, record
agent, services           the process that stays for published ports; what it serves
warm, warmer              the process that has all imported, for the command line; the agent's part in it
views, probes             print it, and try it with real traffic
cli                       Docker's words
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
