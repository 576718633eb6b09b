"""Engine: loads the record, allocates values, narrates, plans, carries out and records.

host               Host: the library's entry; opens the store, locks, recovers, ends operations
verbs              the verbs, each written once: alone, or many in a Transaction
operation          an operation under way: its view of the intent, its plan, its end
reader             reads the record, without a lock and without the imports that changes need
lookup             finds networks, containers and endpoints as the command line names them
targets            resolves the words of a target to a network namespace and addresses
networks           changes of the intent by network create, rm and prune
predefined         the networks bridge, host and none, as the settings say them
containers         changes of the intent by create, start, stop and rm
attachments        changes of the intent by connect and disconnect
lifecycle          what follows when a container's command ends
container_links    resolves --link and --add-host when a container starts
port_publishing    chooses host ports as a container's networks come and go
allocate           chooses names, ids, addresses, subnets and interface names
desired_state      narrates the things that each owner needs, by the drivers
rule_order         keeps rules in their chains in the order in which they were put in
cluster            networks that several hosts share
foreign            finds what other programs have set that stops packets which plumb accepts
roots              one root for a network namespace, and what a lost root has left
repair             recover, check, repair and reset
"""
