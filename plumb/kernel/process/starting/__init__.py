"""Start of containers' commands.

description  a command as its shim takes it
launch       starts shims, several by one interpreter
together     in that interpreter: none is executed before all are ready, then each in its turn

The shim imports `together`, so that needs the standard library only.
"""
