"""Network namespaces, and sockets in them.

namespaces      makes, enters, holds and drops network namespaces
claim           the root that has a network namespace, written where every root sees it
setns           moves the calling thread into another namespace, and back
detached_mount  mounts a file system by its descriptor alone
proc_sys        opens folders of /proc/sys, also in many namespaces
references      namespaces by name: by a file, by a process
fork_into       runs a function in other namespaces, in a fork
sockets         opens sockets in a sandbox's namespace, for the agent
fake_host       a host made of namespaces, which ends with its process
lab_host        entry of a lab's hosts by other processes
user_namespace  the namespace in which an ordinary user's lab has its root
snapshot        all state that a test could leave behind on a host
snapshot_rtnl   links, addresses, routes and rules for a snapshot, read fast
"""
