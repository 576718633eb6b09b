"""Which root a command is about.

Found with next to no imports, since the command line asks before anything else.

The default root is split as distributions want it: what outlives a boot in /var/lib/plumb,
namespace files and sockets in /run/plumb. An explicit root (PLUMB_ROOT, or an argument) holds
everything. Two roots never meet.
"""

import os

DEFAULT_ROOT = "/var/lib/plumb"
DEFAULT_RUN = "/run/plumb"
IMPORT_PATH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
"""The entry of sys.path under which the package `plumb` lies, for interpreters that plumb starts."""


def named(given: str = "") -> str:
    """The absolute path of that root, of PLUMB_ROOT's, or of the default one.

    Links and `..` in it stay.
    """
    path = given or os.environ.get("PLUMB_ROOT") or DEFAULT_ROOT
    whole = path if path.startswith("/") else f"{os.getcwd()}/{path}"
    return "/" + "/".join(part for part in whole.split("/") if part not in ("", "."))


def run(root: str) -> str:
    """The folder under a root which a boot clears."""
    return DEFAULT_RUN if root == DEFAULT_ROOT else root
