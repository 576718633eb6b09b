"""The only door to the machine.

Netlink, namespaces, /proc/sys, iptables, files, processes: whatever touches the host is in this
folder and nowhere else, and foreign errors become plumb's own here, once, with errno and the
kernel's words kept.

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
    collecting.py         a trace: taps and the firewall's traces of several namespaces, armed, read, disarmed
    taps.py               packet sockets: a packet at every link that it passes
    flow_filter.py        the packets of one flow, as a filter
    bpf.py                classic BPF, in which such filters are written
    nfnl.py               nfnetlink: transactions, and what is heard unasked
    trigger.py            the rules that mark a flow's packets to be traced
    nft_trace.py          what nf_tables says of marked packets
    log_trace.py          what the legacy tables say of them
    loggers.py            which logger a namespace has: remembered and put back
    notes.py              what must be put back after a kill
    sweeping.py           puts it back
    drops.py              what the kernel let go of: drop_monitor.py, or buffer_events.py with tracefs.py
    oracle.py             what a namespace would do with a packet: routes, connections, counters
    listeners.py          who waits for what comes in
    questions.py          a netlink socket for many questions
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
    cradle.py             a fake host of namespaces that goes with its process, for pytest's labs
    visiting.py           a function of pytest's, carried out in there by a fork
    fingerprint.py        all that a test could leave behind on a host; sightings.py reads its links, addresses, routes and rules
    landscape.py          a namespace's links, addresses and neighbours, and where its cables lead
    places.py             namespaces that somebody names: by a file, by a process
    resolve.py            what a name means to somebody in a namespace
    rule_book.py          all rules of a namespace, in the words of the tools that list them
    memory.py             the same door onto a dict, for tests
"""
