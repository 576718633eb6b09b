"""The command line's manual: what of Docker's has no meaning here.

refused_flags  flags of Docker's that plumb refuses, each with its reason
refused_verbs  verbs of Docker's that plumb refuses, each with its reason
unknown_flags  a flag that a verb does not have: passed over where it changes nothing, or refused
"""
