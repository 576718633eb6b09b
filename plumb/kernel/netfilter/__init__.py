"""The packet filter: writers of plumb's rules, readers of all rules.

backends          the interface of a firewall writer, and which one this host uses
iptables_nft      the writer for the nf_tables variant of iptables, by nfnetlink
iptables_legacy   the writer for the legacy tables, by the C library of iptables-legacy
vocabulary        the words of plumb's own rules, and the extensions that they name
iptables_restore  the writer through iptables-restore, for the nf_tables variant and any other
iptables_save     reads what iptables-save prints, and finds iptables' commands
nftables          the writer for nf_tables of plumb's own, in one transaction
nf_tables         rules as nf_tables has them, written and found by nfnetlink
nft_contents      a table's contents as libnftables lists them
nft_expressions   nft's words as libnftables' JSON, and back for comparison
libnftables       the C library behind nft, bound by ctypes
error_hints       error messages of iptables and nft, and the missing kernel feature behind each
conntrack_flush   deletes conntrack entries that began under other rules
rule_set_size     sizes of rule sets, before they are listed
ruleset           all rules of a namespace, in the words of the tools that list them
foreign_chains    chains of other firewalls on this host that drop packets
foreign_objects   objects that others have put into plumb's own tables of nf_tables
foreign_rules     nft's JSON and iptables' words as rules in a common form
"""
