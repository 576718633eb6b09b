"""Foreign: what other programs have set that stops plumb's packets; reported, never changed.

containers  finds other engines' containers by the names of a command line
firewalls   finds chains of other firewalls that drop packets which plumb accepts
settings    finds MTUs, addresses, neighbour entries and rules of chains that plumb has not given
"""
