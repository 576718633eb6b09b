"""Capture: packets at every link, the rules that they meet, and the kernel's drops, for a trace.

collector       arms taps and traces of several namespaces, reads them, disarms them
packet_taps     packet sockets: a packet at every link that it passes
flow_filter     the packets of one flow, as a filter for packet sockets
bpf             classic BPF, the language of such filters
nftrace_rules   the private table whose rules mark a flow's packets to be traced
nftrace         nf_tables' trace messages about marked packets (NFT_MSG_TRACE)
iptables_trace  the legacy tables' log lines about marked packets
nf_log          the logger of a namespace's packet filter: saved, set, restored
drops           packets that the kernel dropped, with reason and function
drop_monitor    drops from the drop monitor (NET_DM)
kfree_skb       drops from the trace point skb:kfree_skb
tracefs         the kernel's trace points, read as text
undo_log        notes of kernel settings to restore after a kill
undo            restores them
"""
