#!/bin/sh
# Make a Debian 12 machine one on which plumb, its tests and its labs run:
#
#     sudo sh vagrant/provision.sh
#
# Vagrant runs it on each of its machines; it serves as well by hand, and can be run again at any time: what is there
# already stays. It installs packages, this checkout of plumb in an environment outside of it, and loads the kernel's
# modules, now and at boot. Of the network it configures nothing, neither now nor at boot: that is what plumb is for.
set -eu

VENV=/opt/plumb
LINK=/usr/local/bin/plumb
MODULES=/etc/modules-load.d/plumb.conf
checkout=$(cd "$(dirname "$0")/.." && pwd)

say() { echo "provision: $*"; }
die() { echo "provision: $*" >&2; exit 1; }

# Those of the packages that are not installed.
missing() {
    for package; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

install_missing() {
    # shellcheck disable=SC2046 # one word for each package
    set -- $(missing "$@")
    [ $# -gt 0 ] || return 0
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    said=$({ apt-get update -qq && apt-get install -y -qq "$@"; } 2>&1) || {
        echo "$said" | tail -n 20 >&2
        die "apt-get cannot install $*; what it said last is above"
    }
}

[ "$(id -u)" = 0 ] || die "only root can install things: sudo sh $0"
ID='' VERSION_ID=''
# shellcheck source=/dev/null # the system's own
[ ! -r /etc/os-release ] || . /etc/os-release
{ [ "$ID" = debian ] && [ "${VERSION_ID:-12}" -ge 12 ]; } ||
    die "this is ${PRETTY_NAME:-no Debian}; it takes Debian 12 or later. Elsewhere: install what the Makefile lists, then 'make demo'"

# -- packages: those which the Makefile names as its TOOLS ------------------------------

install_missing make
# shellcheck disable=SC2046,SC2016 # one word for each package; $(TOOLS) is make's to fill in
install_missing $(make -s -C "$checkout" --eval 'list-tools: ; @echo $(TOOLS)' list-tools)

# -- plumb ------------------------------------------------------------------------------

# By make's own rule, elsewhere. Its stamp does not know from which checkout it was.
where='import plumb; print(plumb.__path__[0])'
[ "$("$VENV/bin/python" -I -c "$where" 2>/dev/null)" = "$checkout/plumb" ] || rm -f "$VENV/bin/.plumb"
make -s -C "$checkout" "VENV=$VENV" "$VENV/bin/.plumb" || die "plumb cannot be installed in $VENV; pip says why above"
[ ! -e "$LINK" ] || [ -L "$LINK" ] || die "there is a $LINK that is not a link; move it away"
ln -sfn "$VENV/bin/plumb" "$LINK"
say "$LINK runs what is in $checkout"

# -- the kernel -------------------------------------------------------------------------

# What plumb may need, by plumb's own table. The kernel loads most of it by itself when it is first asked for, but not
# br_netfilter; and what is missing had better show now than in the middle of a lab.
modules='from plumb.kernel.features.table import FEATURES; print(*sorted({each.module for each in FEATURES.values()} - {""}))'
has='' lacks=''
for module in $("$VENV/bin/python" -I -c "$modules"); do
    if modprobe --dry-run --quiet "$module" 2>/dev/null; then
        modprobe "$module" || die "the kernel refuses the module $module"
        has="$has $module"
    else
        lacks="$lacks $module"
    fi
done
mkdir -p "$(dirname "$MODULES")"
{
    echo "# What plumb may need. Written by its vagrant/provision.sh."
    for module in $has; do echo "$module"; done
} >"$MODULES.new"
mv "$MODULES.new" "$MODULES"
say "modules loaded, now and at boot:${has:- none}"
[ -z "$lacks" ] || say "modules that there are not (built in, or this kernel lacks them; 'plumb env' tells):$lacks"
