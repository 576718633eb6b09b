"""Networks that several hosts share, in the intent of one.

access      the cluster as the engine asks it
client      it, by way of this node's cluster process
"""
