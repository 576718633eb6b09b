"""The engine: load what is there, allot what is asked for, narrate it, plan, carry out, record.

reading.py      Reader: what is there, without all that only changes need
view.py         networks, containers and endpoints, found as the command line names them
predefined.py   bridge, host and none, as the settings say them
host.py         Host, what the library offers: one method a verb
operation.py    an operation under way: its view of the intent, its plan, its end
networks.py     what network create, rm, prune do to the intent
containers.py   what create, start, stop, rm, connect, disconnect do to it
publish.py      which container gets which host port, as its networks come and go
verbs.py        the verbs, each written once: alone one operation each, or many in a Transaction
system.py       clock, randomness, host files, ports: what an operation takes from its surroundings
obstacles.py    what other firewalls drop of what plumb lets through
allot.py        names, addresses, subnets: what must be chosen before anything can be narrated
narration.py    who needs which things, by the drivers
order.py        the order of rules in their chains
mending.py      after a crash, a reboot or a foreign hand: recover, check, repair, reset
"""
