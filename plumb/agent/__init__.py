"""The agent: the background process of a root, for what must stay open between commands.

server              the agent's main function and its control socket
held_ports          host ports that the agent holds, each with its proxy
shares              fair shares of file descriptors, and who gives way to whom
descriptors         how many there are for promises, proxies and DNS
loop                one epoll loop for all sockets of the process
prefork_supervisor  starts and watches the prefork server
supervision         health checks of containers, and their starts after a back-off
dns                 the embedded DNS server at 127.0.0.11
cluster             the process of a cluster's node, beside the agent
proxy               the user-land proxy for published ports
"""
