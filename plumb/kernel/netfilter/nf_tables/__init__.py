"""nf_tables by nfnetlink, for both who write to it: iptables-nft's layout, and plumb's own tables.

expressions  what a rule is made of, as bytes
dump         the rules of a chain, and the handle of one of them
handles      those of the rules that others go before
encode       nft's words as the expressions that nft makes of them
transaction  the messages that change plumb's own tables
"""
