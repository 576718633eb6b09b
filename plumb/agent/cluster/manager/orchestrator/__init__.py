"""Orchestration: the leader makes the tasks what the services ask for.

What is to be done follows from values alone, in functions without I/O:

board      services, tasks and nodes at a moment, and what is decided about them
decide     all decisions of a moment
seats      one place of a service after the other: a slot, or a node
ending     the end of tasks
restarts   moment at which an ended task is replaced
updates    rolling updates
placement  choice of nodes

These read it from etcd, and write it there:

snapshot   state of the cluster, at one revision
changes    what was decided, in transactions
leader     the thread that goes round
"""
