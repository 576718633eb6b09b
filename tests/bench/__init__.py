"""How long things take: `make bench`, which is `python -m tests.bench` in a namespace of its own.

    alone     one network, one container, one connection: by the library and by the command line
    bulk      10, 100, 1,000 endpoints in one operation, beside the floor: the same by `ip -batch`
              and `iptables-restore`
    crowd     does one more connection cost more when a thousand are there?
    idle      commands that change nothing, and the price of an import
    others    the same work by netavark and by the CNI plugins, where they are installed

Everything that is compared is measured in one run and in turn, so that a busy machine is as busy
for both. Every figure is a median, with the smallest and the largest beside it. Nobody's network is
touched: each bench makes its own lab hosts."""
