"""The engine: load what is there, allocate what is asked for, narrate it, plan, carry out, record.

host               Host: what the library offers; opens the store, locks, recovers, ends an operation
verbs              the verbs, each written once: alone, or many in a Transaction
operation          an operation under way: its view of the intent, its plan, its end
reader             reads the record, without a lock and without all that only changes need
lookup             finds networks, containers and endpoints as the command line names them
targets            the namespaces and addresses that a target's words stand for
networks           what network create, rm and prune do to the intent
predefined         the networks bridge, host and none, as the settings say them
containers         what create, start, stop, rm, connect and disconnect do to the intent
container_links    what --link and --add-host mean for a container when it starts
port_publishing    chooses host ports as a container's networks come and go
allocate           chooses names, ids, addresses, subnets and interface names
desired_state      the things that each owner needs, by the drivers
rule_order         keeps rules in their chains in the order in which they were put in
foreign_firewalls  finds what other firewalls drop of what plumb lets through
repair             recover, check, repair and reset
"""
