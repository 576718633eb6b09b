"""Faults to be found: a lab in which one of them is hidden, and what tells if it is mended.

fault      a fault as a value: the line that injects it, what doctor calls it
catalogue  all of them
scene      the hosts that they are injected into, and the shell that injects them
puzzle     a fault or a lesson's breakage, hidden in a lab; hints, the way, what is still broken
"""
