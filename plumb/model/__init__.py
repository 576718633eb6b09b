"""The model: the intended state as frozen values, and the rules for it. No I/O.

cnm                Network, Sandbox, Endpoint: the Container Network Model
cluster            nodes, and what they share of networks and endpoints
service            services, their tasks, and what a host needs of them
settings           the keys of Docker's daemon.json that concern networking
driver_options     the drivers' modes and options, as values
driver_traits      differences between the drivers' networks: on a LAN, with a bridge, ports
ports              published ports, as a container requests them and as its endpoints have them
keywords           keyword parameters of the library's verbs: types, and their values parsed
lifecycle          status, health checks and restart policies of a container
container_options  options of one container other than its networks', parsed
parse              labels and flags: text in, typed values out
ipam               the choice of a network's subnet and of an endpoint's address
port_mapping       allocation of host ports to published container ports
legacy_links       environment variables of `--link`
etc_files          the text of a container's resolv.conf and hosts
paths              paths of files under a root
netns_state        state of a namespace while a packet passes, for causes
net                packets, targets and resolv.conf as values, for probes and traces
observations       sightings of a packet: frames, rule hits, drops
diagnosis          state of a whole host, and faults found in it
foreign_firewall   rules of other firewalls in a common form, and what they drop
"""
