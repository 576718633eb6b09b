"""Services of a swarm in Docker's words.

rows      lines of `service ls`, `service ps` and `node ps`
document  JSON of `service inspect`
pretty    the same as text
progress  how far an update is, for those who wait for it
"""
