"""Explanations: what an object on this host is, whose, why it is there, and what breaks without it.

reason   the value: why, by which option, what breaks without it, where packets go next
links    reasons of links and of what stands on one: addresses, routes, neighbours
sysctls  reasons of kernel settings, by name
rules    reasons of chains, rules and balancers
agents   reasons of what the agent does, and of files, namespaces and commands
kinds    the reason of any thing, by its kind
subject  the words of a command line: a name, an address, a rule, and which things they mean
explain  explanations of a subject, from the record
on_host  the same for what plumb has not made, as this host has it
listeners  the same for programs that listen at a port of this host
inside   the same for rules in a container's own namespace
known_rules  reasons of a real Docker's rules, and the owners of others
netavark_rules  the patterns of Podman's rules, and of CNI's plugins
docker_rules  the patterns of Docker's rules, of both back ends
known_objects  objects of Docker and of other programs, by their names
"""
