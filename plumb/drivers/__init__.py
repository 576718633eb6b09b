"""Drivers: each one is the explanation of a kind of network, as code that names what must exist.

A driver yields things in the order in which one would build them by hand. It has no verb, no
condition on what is there already, and nothing about taking away: that all follows from the things.
"""
