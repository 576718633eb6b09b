"""Checks of published ports that others have.

taken        containers that have not started, for another has their port
stale_rules  rules of NAT that lead a published port to another address than its container's
"""
