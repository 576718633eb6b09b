#!/bin/sh
# One of several processes that share the tests (pytest-xdist): Python in network and mount namespaces of its own, as `make test` is.
exec unshare --net --mount --propagation private sh -c 'ip link set lo up && exec "$@"' worker "$PLUMB_TESTS_PYTHON" "$@"
