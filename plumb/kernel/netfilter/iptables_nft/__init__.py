"""The nf_tables variant of iptables, written and read by nfnetlink, without a process.

encode  iptables' words as the expressions that iptables-nft makes of them
tables  dumps of chains and rules, and the messages that change them
writer  the writer, and when it hands its steps to iptables-restore
"""
