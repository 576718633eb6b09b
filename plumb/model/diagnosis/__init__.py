"""Diagnosis of a host: what is read of it, and what is found in that. No I/O.

snapshot  the state of a host and of its containers' namespaces at one moment
machine_state  the kernel and the programs of the machine
failed_start  containers that could not be started
overlay_state  the parts of overlay networks on it
finding   a fault: its grade, what was read, why it matters, the command that mends it
remedy    commands that mend, and those that take them back
undo      what was done of them, as it is written down
"""
