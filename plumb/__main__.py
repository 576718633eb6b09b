"""The command line, from `python -m plumb` or as the `plumb` command.

Carried out by a warm process where there is one.

So it imports next to nothing (`plumb.prefork.client`), and the rest only if there is no such
process, or PLUMB_WARM=0 says so.
"""

import _signal  # type: ignore[import-not-found]  # what signal wraps; see plumb.prefork.client
import os
import sys

COLLECTION_THRESHOLD = 50_000
"""Objects made until Python looks for unreachable cycles: a command's imports make no such cycles,
but 700 collections, of which each reads many objects."""


def main() -> int:
    """Run this process's command line; its exit status.

    Where a caller ignores SIGCHLD, the kernel keeps no exit status of children: a command that
    plumb runs would have failed unnoticed.
    """
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    try:
        return _forwarded_or_here()
    except KeyboardInterrupt:
        _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
        sys.stderr.write("plumb: interrupted\n")
        return 130


def _forwarded_or_here() -> int:
    from plumb.prefork import client

    try:
        status = client.ask()
    except client.Died:
        status = _died()
    if status is None:
        import gc

        gc.set_threshold(COLLECTION_THRESHOLD)
        from plumb import cli

        status = cli.main()
        from plumb.prefork import streams

        status = streams.flush(status)
    os._exit(status)  # there is nothing here to tidy up, which takes Python 12 ms


def _died() -> int:
    from plumb.cli import complain, first_verb
    from plumb.prefork.client import KILLED

    return complain(*KILLED, 125 if first_verb(sys.argv[1:]) == "run" else 1)


if __name__ == "__main__":
    sys.exit(main())
