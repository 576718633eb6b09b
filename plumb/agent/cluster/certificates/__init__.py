"""Certificates of nodes, and what is made of them.

pki         authorities and certificates
signing     pki's functions in a process that ends when it is idle
der         fields of a certificate, read without a library
tokens      join tokens
tls         TLS contexts and connections
authority   the authorities and join secrets in etcd
"""
