"""Services: what a network offers besides wires. Each has a pure core, and a thin loop where it has one.

    ipam.py         which subnets and addresses are handed out
    ports.py        which ports are published where
    names.py        resolv.conf and hosts
    loop.py         one epoll loop for all sockets of the agent
    proxy.py        the user-land proxy for TCP and SCTP
    proxy_udp.py    the same for UDP
    vessels.py      what bytes lie in on their way through it: pipes, so that the kernel moves them

The embedded DNS server, the way of a question:

    embedded.py     the servers of an agent, and the words in which it is told of them
    resolver.py     the server of one sandbox: a datagram comes in, an answer goes out
    remembered.py   what was asked before is answered at once
    wire.py         else the question is read, by somebody who trusts nothing in it,
    zone.py         looked up in the names of the sandbox's networks,
    answers.py      and answered, if it is known there;
    forwarding.py   if not, servers elsewhere are asked, one after the other,
    exchange.py     each in a way in which nobody else can answer for it
    streams.py      the same by TCP
    commons.py      what all servers share, and how much of it each may have
"""
