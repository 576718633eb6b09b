"""Questions about a network that does not do what it should.

probe    one probe on the real network
matrix   all pairs of containers against what they promise
trace    the path of one packet
explain  what an object is, whose, and why it is there
draw     a picture of the host's wiring
doctor   known faults of the whole host
fixes    its remedies applied and taken back
"""
