"""Causes: why a question was not answered, and what to do about it.

What was observed comes first: the rule that dropped it, the error that somebody sent, the last link
that it was seen at. Only where
that does not settle it is it looked up what stands there: settings, links, routes, listeners, which
contradict what the packet needed. A cause that was not observed says "probably".

    case.py        what a cause is found in, and what it is
    by_rule.py     a rule dropped it
    by_socket.py   nobody listens there, or elsewhere
    by_route.py    the routing of some place does not know the way, or refuses it
    by_link.py     a cable, a bridge or a neighbour is not as it should be
    by_nat.py      it was rewritten wrongly, or should have been
    by_size.py     it was too large, or had passed too many routers
    finding.py     all of them, in their order

Each is a pure function of the case; the first that recognises it wins.
"""
