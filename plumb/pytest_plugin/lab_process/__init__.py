"""The processes that pytest starts for its labs.

forkserver    has everything imported, and forks the hosts
init          the first process of a lab's host: serves requests, starts programs
rpc_methods   requests that a lab's host answers, one method each
enter         enters a place of a lab
lan           a router and a machine on the segment before the host
places        the host, the machines of its LAN and its containers, by their names
reachability  tries whether one place reaches another, with real sockets
trace         traces a packet from inside the lab
dump_state    the state of a failed test's lab, as texts
"""
