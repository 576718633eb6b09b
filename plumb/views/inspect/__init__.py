"""Docker's JSON for `inspect` and `network inspect`, and the lines of `ps` and `network ls`.

networks     network inspect, network ls
cluster      parts of network inspect that networks of the cluster have
containers   inspect
field_types  Go's types of the fields, for templates
zeros        all fields of a container, with Docker's values for one that asks for nothing
host_info    info, version
rows         ps
ports        exposed ports, the PORTS column
moments      points in time, in Docker's words
"""
