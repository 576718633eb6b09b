"""Views: results as text: commands, tables, Docker's JSON, capture files.

shell       steps as commands, for --dry-run and --show-commands
shell_ip    links, addresses, routes and sysctls as commands of iproute2 and sysctl
shell_firewall  chains, rules and tables as commands of iptables, nft and ipvsadm
shell_sandbox   namespaces, files and processes as commands
shell_agent     ports, proxies and names as commands of `plumb agent`
tables      listings: columns for people, one object a line for programs
template    Go templates, which --format takes
inspect     Docker's JSON for inspect and network inspect, lines of ps and network ls
nodes       a swarm's nodes, and what lies between them: rows, JSON, text
services    a swarm's services and their tasks: rows, JSON, text
compose     containers of a compose project, projects of a host: rows
open_ports  open ports and the places that reach them, for `plumb port` and `network ports`
events      events as text, as JSON, by a template
stats       counters as rows
agent_usage  descriptors of the agent's clients, and the bounds that they have met
matrix      the table of reachability, and differences from the promises
explain     what an object is and why it is there, as text
draw        pictures of a host's wiring: text, SVG, Mermaid, dot, one page
diagnosis   what doctor found, as text and as JSON
trace       the path of a packet and of its reply, as text
pcapng      the same as a capture file for Wireshark and tcpdump
"""
