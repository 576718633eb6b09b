"""Diagnosis of a whole host, without a question: `plumb doctor`.

A snapshot is read once; all checks are functions of it, so that a snapshot from another host is
diagnosed as well. Nothing is changed, and no packet is sent.

read        reads a snapshot of this host
document    a snapshot as JSON, and back, from somebody who may wish plumb ill
anonymise   replaces names and addresses in a snapshot, so that its findings stay the same
diagnose    asks all checks, or those that concern two ends
catalogue   the table of checks
evidence    leaves out what only a part that could not be read would prove
firewalls   chains of a snapshot, asked what becomes of some traffic
routes      the route that a host of a snapshot would take
fix         a finding's remedy applied, and taken back
remedies    commands in the words of a thing's owner
checks      the checks, a module for each kind of fault
"""
