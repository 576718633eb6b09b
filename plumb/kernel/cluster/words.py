"""Docker's words for a node that is in no swarm, or in one already."""

from __future__ import annotations

NOT_IN_SWARM = "This node is not part of a swarm"
ALREADY = (
    'This node is already part of a swarm. Use "plumb swarm leave" to leave this swarm and join '
    "another one."
)
ADVICE = 'Use "plumb swarm init" or "plumb swarm join" to connect this node to swarm and try again.'
