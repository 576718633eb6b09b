"""plumb beside a real Docker Engine: what its command lines did, recorded, and what ours do.

book.py        the scenarios (scenarios.toml) and the recordings (golden/*.json)
rig.py         hosts and a LAN in namespaces, and plumb's command line on them
observe.py     a namespace, read back with the system's own tools
probes.py      traffic: echo servers, a resolver, and probes, on plain sockets
seen.py        all that was observed, as it is
services.py    a swarm's services: what is said of them, and what is asked about them
interchange.py tasks of a service given their places anew, since chance decides about them
recording.py   a scenario played, in the recordings' format: what is random is replaced by what
               it stands for
swarm.py       what is seen besides of a swarm: its nodes, networks and their namespaces
facts.py       a recording as small facts, and where two differ
later.py       what plumb does not have yet: scenarios that are not played
"""
