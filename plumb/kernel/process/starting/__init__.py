"""Start of containers' commands.

description  a command as its shim takes it
launch       starts shims, several by one interpreter
"""
