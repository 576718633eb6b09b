"""Certificates of nodes, and what is made of them.

pki         authorities and certificates
tokens      join tokens
tls         TLS contexts and connections
authority   the authorities and join secrets in etcd
"""
