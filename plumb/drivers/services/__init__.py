"""Services on a host: one name and one address for many containers, and one port of every host.

A service's virtual address (VIP) is in no table of other hosts: on each host that has a member of
the network, the network's balancer has it, and answers ARP for it there.

    client ── VIP, any port ── balancer of the network on this host ── one of the tasks, same port

The balancer hands a connection on, and its own address is the client's then (SNAT), so that the
answer comes back by way of it. It does that by IPVS; where the kernel has none, by rules of the
firewall that choose in the same way.

A published port leads to the balancer of the ingress network, from every host:

    client ── host:8080 ── DNAT ── ingress_sbox:8080 ── one of the tasks:8080 ── REDIRECT ── :80

service      all things of a service on a network of this host
balancer     a network's balancer, and a service in it
by_ipvs      choice of a task by IPVS
by_iptables  the same by iptables' statistic and HMARK
by_nftables  the same by nftables' numgen and jhash
ingress      published ports: of the host, and of a task
source       the client's own address, where the ingress network keeps it
task         a task's endpoint, beside what every endpoint has
names        names of a service
"""
