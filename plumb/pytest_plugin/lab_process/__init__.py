"""The other side of the wire: what runs in the processes that pytest starts for its labs.

forkserver    one process for each pytest process: has all imported, and forks the hosts
host       the first process of a fake host: hears requests and starts what is to run there
answers    what can be asked for
lan        a router and a client on the wire before the host
knocking   who reaches whom, tried with real sockets
gathering  all that is worth keeping when a test has failed
"""
