"""Hosts without a fault that look as if they had one: what programs on them set up, as shell lines.

Rules are those that the programs write, as iptables-save prints them.
"""

from __future__ import annotations

UFW = """
iptables-restore -n <<'END'
*filter
:ufw-before-input - [0:0]
:ufw-user-input - [0:0]
:ufw-before-forward - [0:0]
:ufw-user-forward - [0:0]
:ufw-reject-forward - [0:0]
-P INPUT DROP
-P FORWARD DROP
-A INPUT -j ufw-before-input
-A FORWARD -j ufw-before-forward
-A FORWARD -j ufw-reject-forward
-A ufw-before-input -i lo -j ACCEPT
-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-input -m conntrack --ctstate INVALID -j DROP
-A ufw-before-input -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-input -j ufw-user-input
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -j ufw-user-forward
-A ufw-user-input -p tcp -m tcp --dport 22 -j ACCEPT
COMMIT
END
"""
LIBVIRT = """
ip link add virbr0 type bridge && ip addr add 192.168.122.1/24 dev virbr0 && ip link set virbr0 up
iptables-restore -n <<'END'
*filter
:LIBVIRT_FWI - [0:0]
:LIBVIRT_FWO - [0:0]
:LIBVIRT_FWX - [0:0]
:LIBVIRT_INP - [0:0]
-I INPUT -j LIBVIRT_INP
-A FORWARD -j LIBVIRT_FWX
-A FORWARD -j LIBVIRT_FWI
-A FORWARD -j LIBVIRT_FWO
-A LIBVIRT_INP -i virbr0 -p udp -m udp --dport 53 -j ACCEPT
-A LIBVIRT_FWX -i virbr0 -o virbr0 -j ACCEPT
-A LIBVIRT_FWI -d 192.168.122.0/24 -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable
-A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT
-A LIBVIRT_FWO -i virbr0 -j REJECT --reject-with icmp-port-unreachable
COMMIT
*nat
:LIBVIRT_PRT - [0:0]
-A POSTROUTING -j LIBVIRT_PRT
-A LIBVIRT_PRT -s 192.168.122.0/24 -d 224.0.0.0/24 -j RETURN
-A LIBVIRT_PRT -s 192.168.122.0/24 ! -d 192.168.122.0/24 -j MASQUERADE
COMMIT
END
nft -f - <<'END'
table ip libvirt_network {
    chain forward {
        type filter hook forward priority filter; policy accept;
        counter jump guest_input
    }
    chain guest_input {
        oif "virbr0" counter reject
    }
}
END
"""
TAILSCALE = """
ip link add tailscale0 type veth peer name tailscaled && ip link set tailscale0 up mtu 1280
ip link set tailscaled up && ip addr add 100.101.102.103/32 dev tailscale0
ip rule add pref 5210 fwmark 0x80000/0xff0000 lookup main
ip rule add pref 5230 fwmark 0x80000/0xff0000 lookup default
ip rule add pref 5250 fwmark 0x80000/0xff0000 type unreachable
ip rule add pref 5270 lookup 52
ip route add 100.64.0.7 dev tailscale0 table 52
ip route add 192.168.50.0/24 dev tailscale0 table 52
iptables-restore -n <<'END'
*filter
:ts-input - [0:0]
:ts-forward - [0:0]
-I INPUT -j ts-input
-I FORWARD -j ts-forward
-A ts-input -s 100.101.102.103/32 -i lo -j ACCEPT
-A ts-input -s 100.64.0.0/10 ! -i tailscale0 -j DROP
-A ts-input -p udp -m udp --dport 41641 -j ACCEPT
-A ts-forward -i tailscale0 -j MARK --set-xmark 0x40000/0xff0000
-A ts-forward -m mark --mark 0x40000/0xff0000 -j ACCEPT
-A ts-forward -s 100.64.0.0/10 -o tailscale0 -j DROP
-A ts-forward -o tailscale0 -j ACCEPT
COMMIT
*nat
:ts-postrouting - [0:0]
-A POSTROUTING -j ts-postrouting
-A ts-postrouting -m mark --mark 0x40000/0xff0000 -j MASQUERADE
COMMIT
END
"""
WG_QUICK = """
ip link add wg0 type veth peer name wgend && ip link set wg0 up mtu 1420 && ip link set wgend up
ip addr add 10.2.0.2/32 dev wg0
ip route add default dev wg0 table 51820
ip rule add not fwmark 51820 table 51820
ip rule add table main suppress_prefixlength 0
nft -f - <<'END'
table ip wg-quick-wg0 {
    chain preraw {
        type filter hook prerouting priority raw; policy accept;
        iifname != "wg0" ip daddr 10.2.0.2 fib saddr type != local drop
    }
    chain premangle {
        type filter hook prerouting priority mangle; policy accept;
        meta l4proto udp meta mark set ct mark
    }
}
END
"""
OPENVPN = """
ip link add tun0 type veth peer name tunend && ip link set tun0 up && ip link set tunend up
ip addr add 10.8.0.6/24 dev tun0
ip route add 0.0.0.0/1 via 10.8.0.1 dev tun0
ip route add 128.0.0.0/1 via 10.8.0.1 dev tun0
ip route add 203.0.113.9 via 192.0.2.1 dev eth0
"""
KUBERNETES = """
ip link add cni0 type bridge && ip addr add 10.244.1.1/24 dev cni0 && ip link set cni0 up
ip link add flannel.1 type vxlan id 1 dstport 8472 dev eth0 nolearning
ip addr add 10.244.1.0/32 dev flannel.1 && ip link set flannel.1 up
ip route add 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink
ip route add blackhole 10.244.9.0/26
iptables-restore -n <<'END'
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
:FLANNEL-FWD - [0:0]
-A INPUT -j KUBE-FIREWALL
-A OUTPUT -j KUBE-FIREWALL
-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
-A FORWARD -j FLANNEL-FWD
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A KUBE-SERVICES -d 10.96.7.7/32 -p tcp -m tcp --dport 443 -j REJECT
-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT
-A FLANNEL-FWD -d 10.244.0.0/16 -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SEP - [0:0]
:FLANNEL-POSTRTG - [0:0]
-I PREROUTING -j KUBE-SERVICES
-I OUTPUT -j KUBE-SERVICES
-I POSTROUTING -j KUBE-POSTROUTING
-A POSTROUTING -j FLANNEL-POSTRTG
-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000
-A KUBE-SERVICES -d 10.96.0.10/32 -p udp -m udp --dport 53 -j KUBE-SEP
-A KUBE-SEP -p udp -m udp -j DNAT --to-destination 10.244.1.5:53
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
COMMIT
END
"""
FAIL2BAN = """
iptables-restore -n <<'END'
*filter
:f2b-sshd - [0:0]
-I INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
-A f2b-sshd -s 203.0.113.5/32 -j REJECT --reject-with icmp-port-unreachable
-A f2b-sshd -j RETURN
COMMIT
END
nft -f - <<'END'
table inet f2b-table {
    set addr-set-docker { type ipv4_addr; elements = { 203.0.113.7 }; }
    chain f2b-chain {
        type filter hook forward priority -1; policy accept;
        ip saddr @addr-set-docker reject
    }
}
END
"""
MARKED = """
nft -f - <<'END'
table inet mine {
    chain marks {
        type filter hook forward priority -10; policy accept;
        iifname "shop0" meta mark set 0x77
        oifname "shop0" meta mark set 0x77
    }
    chain forward {
        type filter hook forward priority 10; policy drop;
        meta mark 0x77 accept
    }
}
END
"""
HOSTS = {
    "ufw": UFW,
    "libvirt": LIBVIRT,
    "Tailscale": TAILSCALE,
    "wg-quick": WG_QUICK,
    "OpenVPN": OPENVPN,
    "Kubernetes": KUBERNETES,
    "fail2ban": FAIL2BAN,
}
"""Hosts on which nothing must be found, by what runs there."""
