"""The command line's manual: help, completion, man pages, and what of Docker's has no meaning here.

examples       two examples for each verb, and the page about it
help_text      the end of a verb's help
completion     completion, and complete, which the shells ask
names          networks and containers for a shell's completion
shells         the scripts for bash, zsh and fish
man_pages      man
refused_flags  flags of Docker's that plumb refuses, each with its reason
refused_verbs  verbs of Docker's that plumb refuses, each with its reason
other_engines  a container that another engine on this host has
usage          words and exit status for a command line that is wrong
unknown_flags  a flag that a verb does not have: passed over where it changes nothing, or refused
"""
