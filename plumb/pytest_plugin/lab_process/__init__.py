"""The processes that pytest starts for its labs.

forkserver    has everything imported, and forks the hosts
init          the first process of a lab's host: hears requests and starts what is to run there
rpc_methods   requests that a lab's host answers, one method each
enter         enters a place of a lab
lan           a router and a machine on the segment before the host
places        the host, the machines of its LAN and its containers, by their names
reachability  tries whether one place reaches another, with real sockets
trace         traces a question from inside the lab
dump_state    all that is worth keeping when a test has failed, as texts
"""
