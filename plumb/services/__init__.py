"""Services: what a network offers besides wires. Each has a pure core, and a thin loop where it has one.

    ipam.py         which subnets and addresses are handed out
    ports.py        which ports are published where
    names.py        resolv.conf and hosts
    loop.py         one epoll loop for all sockets of the agent
    proxy.py        the user-land proxy for TCP and SCTP
    proxy_udp.py    the same for UDP
    vessels.py      what bytes lie in on their way through it: pipes, so that the kernel moves them
"""
