"""Probes: what a network promises, and whether it keeps it.

values        a promise as a value (pure)
promises      who must reach whom and who must not, from the intent alone (pure); with lan, published, sharing
naming        what containers' questions for names must bring; owners: that each address belongs to one alone
outcomes      what real traffic says of a promise, and what silence is worth (pure)
traffic       tries promises with sockets, all at once: listening answers, asking asks
whole         everyone to everyone: all of these together, for `plumb matrix`
question      one question as words and values (pure); parties: whom the words mean
single        asks it, for `plumb probe`; finding, path_mtu: questions about more than an answer
packets       asks on the wire (the only package that imports scapy)
"""
