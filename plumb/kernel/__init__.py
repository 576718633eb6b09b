"""The kernel: the only code that reads and changes the machine.

Netlink, namespaces, /proc/sys, iptables, files, processes: whatever touches the host is in this
folder and nowhere else, and foreign errors become plumb's own here, once, with errno and the
kernel's words kept.

    linux         looks at things and takes steps, by the writer for their kind
    system        clock, randomness, host files and ports, which an operation takes from outside
    writers       one protocol to read and change things, and the table type -> writer
    memory        the same interface onto a dict, for tests
    netlink       netlink messages and sockets, family by family
    net           links, addresses, routes, neighbours, sysctls
    netfilter     plumb's rules written to iptables or nftables, and everybody's rules read
    netns         network namespaces: made, entered, compared; hosts made of them for tests
    process       containers' commands, files and host names
    ports         host ports: bound, found free, and their owners
    capture       packets, rule traces and drops, recorded for a trace
    features      what this kernel can do, found out by trying
    agent_client  starts, asks and ends the agent, for the engine
    agent_socket  where commands, engine and agent meet: sockets, lock, and the check of who asks
"""
