"""The kernel: the only code that reads and changes the machine.

Netlink, namespaces, /proc/sys, iptables, files, processes: all code for them is in this folder and
nowhere else, and it converts foreign errors to plumb's own, with errno and the kernel's message.

    linux         looks at things and takes steps, by the writer for their kind
    system        clock, randomness, host files and ports, which an operation takes from outside
    writer        the protocol of all that reads and changes things
    writers       the table type of thing -> writer
    memory        the same interface onto a dict, for tests
    netlink       netlink messages and sockets, family by family
    leavings      finds by its marks what a root without a record has left
    own_paths     refuses files, namespaces and processes outside of the root
    net           links, addresses, routes, neighbours, sysctls
    netfilter     writes plumb's rules to iptables or nftables, and reads all rules
    netns         makes, enters and compares network namespaces; hosts made of them for tests
    process       containers' commands, files and host names
    ports         binds host ports, finds free ones, and names the owner of one
    events        waits for changes of files
    capture       records packets, rule traces and drops for a trace
    boot          the id of this boot
    capabilities  refuses what this process has no capabilities for
    diagnosis     reads a whole namespace, and files of the machine, for a snapshot
    foreign       other engines' sockets, files and processes
    features      tries which features this kernel has
    agent_client  starts, asks and ends the agent, for the engine
    background    starts the agent and the cluster process
    agent_rows    what an agent has, as rows of requests and answers
    agent_usage   descriptors of the agent's clients, and the bounds that they have met
    agent_verbs   the verbs of requests and of `plumb agent`
    cluster       a node's part in its cluster: its processes, files and records of endpoints
    cluster_client  asks this node's cluster process
    agent_socket  the agent's sockets and lock, and the check of a client's rights
"""
