"""The agent: the background process of a root, for what must stay open between commands.

server              the agent's main function and its control socket
held_ports          host ports that the agent holds, each with its proxy
loop                one epoll loop for all sockets of the process
prefork_supervisor  starts and watches the prefork server
dns                 the embedded DNS server at 127.0.0.11
proxy               the user-land proxy for published ports
"""
