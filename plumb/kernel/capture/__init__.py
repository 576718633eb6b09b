"""Capture: packets at every link, rules that they meet, drops by the kernel, all for `plumb trace`.

collector       arms taps and traces of several namespaces, reads them, disarms them
packet_taps     packet sockets: a packet at every link that it passes
flow_filter     the packets of one flow, as a filter for packet sockets
bpf             classic BPF, in which such filters are written
nftrace_rules   the private table whose rules mark a flow's packets to be traced
nftrace         what nf_tables reports of marked packets (NFT_MSG_TRACE)
iptables_trace  what the legacy tables' TRACE target logs of them
nf_log          the logger of a namespace's packet filter: saved, set, restored
drops           packets that the kernel dropped, with reason and function
drop_monitor    drops from the drop monitor (NET_DM)
kfree_skb       drops from the trace point skb:kfree_skb
tracefs         the kernel's trace points, read as text
undo_log        notes of what must be put back in the kernel after a kill
undo            puts it back
"""
