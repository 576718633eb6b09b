#!/bin/sh
# One of several processes that share the tests (pytest-xdist): Python in namespaces of its own. With that of processes, what its
# tests have started ends with it, and it ends with the process that has started it.
exec setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
    sh -c 'ip link set lo up && "$@"; exit $?' worker "$PLUMB_TESTS_PYTHON" "$@"
