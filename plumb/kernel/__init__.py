"""The only door to the machine.

Netlink, namespaces, /proc/sys, iptables, files, processes: whatever touches the host is in this folder and
nowhere else, and foreign errors become plumb's own here, once, with errno and the kernel's words kept.

    linux.py              look at things and take steps, handing each to the one below that knows it
    netlink.py            rtnetlink: many messages in one send, an answer for each
    links.py              things as rtnetlink messages
    survey.py             what networks need to know of the machine before anything is built
    features.py           what a kernel may lack, and what to do then
    abilities.py          what this kernel can do, found out by trying
    attempts.py           the attempts: links, sockets, IPsec
    firewall_attempts.py  the attempts at the firewall
    asking.py             one netlink request of any family
    refusals.py           what iptables and nft say where the kernel lacks something
    announcing.py         announces new endpoints with it
    namespaces.py         make, enter, hold network namespaces
    hostfiles.py          the host's resolv.conf, hosts and name
    sysctl.py             /proc/sys
    firewall.py           one interface, several writers: which one this host uses
    iptables_restore.py   the writer for hosts whose iptables is the nf_tables variant (and any other)
    xtables.py            the writer through python-iptables, for the legacy tables
    nftables.py           the writer for firewall-backend nftables
    nft_json.py           nft's words as libnftables' JSON expressions, and back to compare
    libnftables.py        the C library behind nft, bound
    conntrack.py          forgets flows that began under other rules
    ctnetlink.py          connection tracking's entries, as netlink messages
    foreign.py            the survey of other firewalls on the host
    foreign_rules.py      their rules in a common form
    agents.py             the engine's side of the agent: started, spoken to, ended
    rendezvous.py         where they meet: sockets, pid file, lock; and who is listened to
    request.py            a command line handed to a warm process
    likeness.py           to be like another process: namespaces, limits, signals
    caller.py             the process that called for a command
    hostports.py          host ports: bound for real, and who has one
    inside.py             sockets in a sandbox's namespace, for the agent
    files.py              folders and files
    processes.py          a sandbox's command: started, watched, ended
    shim.py               runs beside each such command (standard library only)
    announce.py           gratuitous ARP and neighbour advertisements
    memory.py             the same door onto a dict, for tests
"""
