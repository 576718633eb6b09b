"""Causes: why a question was not answered, and what to do about it.

What was observed comes first: the rule that dropped it, the error that somebody sent, the last link
that it was seen at. Only where that does not settle it is it looked up what stands there: settings,
links, routes, listeners, which contradict what the packet needed. A cause that was not observed says
"probably".

case           what a cause is found in, and what it is
order          all causes, in the order in which they are asked for
by_rule        a rule dropped it
by_socket      nobody listens there, or elsewhere
by_route       the routing of some place does not know the way, or refuses it
by_link        a cable or a bridge is not as it should be
by_neighbour   a neighbour does not answer for its address, or another one does
by_nat         it was rewritten wrongly, or should have been
by_size        it was too large, or had passed too many routers
remedies       commands that mend something

Each cause is a pure function of the case; the first that recognises it wins.
"""
