"""Foreign: what other programs have set that stops plumb's packets; reported, never changed.

firewalls  finds chains of other firewalls that drop packets which plumb accepts
settings   finds MTUs, addresses and neighbour entries that are not as plumb has given them
"""
