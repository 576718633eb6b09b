"""The legacy tables of iptables, written and read through the C library of iptables-legacy.

encode  iptables' words as the entries that iptables-legacy makes of them
tables  tables as python-iptables has them: opened, locked, their entries as bytes
writer  the writer, and when it hands a rule to python-iptables to translate
"""
