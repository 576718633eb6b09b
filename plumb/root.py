"""Root of a command: the folder of all its state.

This module needs next to no imports, since the command line uses it before anything else.

The default root is split as distributions want it: what outlives a boot in /var/lib/plumb,
namespace files and sockets in /run/plumb. An explicit root (PLUMB_ROOT, or an argument) holds
everything. Two roots share no files, and a network namespace takes one of them at a time
(`kernel.netns.claim`).
"""

import os

DEFAULT_ROOT = "/var/lib/plumb"
DEFAULT_RUN = "/run/plumb"
IMPORT_PATH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""Entry of sys.path that contains the package `plumb`, for interpreters that plumb starts."""


def named(given: str = "") -> str:
    """Return the absolute path of that root, of PLUMB_ROOT's, or of the default one.

    Symbolic links and `..` in it stay.
    """
    path = given or os.environ.get("PLUMB_ROOT") or DEFAULT_ROOT
    whole = path if path.startswith("/") else f"{os.getcwd()}/{path}"
    return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))


def run(root: str) -> str:
    """Return the folder under a root that a boot clears."""
    return DEFAULT_RUN if root == DEFAULT_ROOT else root
