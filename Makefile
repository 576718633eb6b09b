# What one can do here. The demo needs no root where the tools are installed; the other targets want it: sudo make test.
# Everything runs in network and mount namespaces of its own; the machine's own network is never touched.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
# The compiler is for python-iptables, which has a small part in C. Debian's etcd-server would start an etcd for all on
# this machine; its unit is masked beforehand (plumb starts its own), unless etcd is here already.
TOOLS   := dnsperf etcd-server iproute2 iptables iputils-ping nftables procps python3-venv python3-dev gcc libc6-dev
# Programs that tests and bench try plumb with.
TRIED   := curl haproxy ipvsadm nginx-light openssl
# A real Docker Engine beside plumb, and what its image is made of: without them its tests are skipped, and say so.
ENGINE  := busybox-static docker.io
# Podman, and CNI's plugins: the same for these.
PODMAN  := aardvark-dns busybox-static conmon containernetworking-plugins netavark podman runc
# Shows the pages of draw and trace to their tests, which are skipped without it.
BROWSER := chromium
ROOT    := $(filter 0,$(shell id -u))
OUTSIDE := $(shell readlink /proc/self/ns/net)
# Users' PATH has no sbin on Debian, where iptables and sysctl are.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
# A namespace that plays the host: nothing in it but lo.
LAB     := unshare --net --mount --propagation private sh -c 'ip link set lo up && exec "$$@"' lab

# The same for an ordinary user: in a user namespace, with a /run of its own.
ALONE   := unshare --user --map-root-user --pid --fork --mount-proc --net --mount --propagation private \
           sh -c 'mount -t tmpfs run /run && ip link set lo up && exec "$$@"' lab

.PHONY: demo check test test-long test-vm test-all vm-shell lint docs site golden bench soak fuzz coverage clean

demo: $(BIN)/.plumb              ## build the three-tier lab, and an overlay on two hosts; show, try, take down; needs no root
	@$(if $(ROOT),$(LAB),$(ALONE)) $(BIN)/python -m examples.three_tier
	@$(if $(ROOT),$(LAB),$(ALONE)) $(BIN)/python -m examples.two_hosts

TESTS := PLUMB_TESTS_OUTSIDE='$(OUTSIDE)' $(LAB) $(BIN)/python -m

check: $(BIN)/.dev               ## seconds: ruff, mypy, layers, golden plans, and the tests that need no kernel
	@$(TESTS) tests.suite check

test: $(BIN)/.dev                ## what this kernel can run, the dearest of it sampled; ARGS=... for some, in one process
	@$(TESTS) $(if $(ARGS),pytest $(ARGS),tests.suite native)

test-long: $(BIN)/.dev           ## the same without sampling
	@PLUMB_TESTS_LONG=1 $(TESTS) $(if $(ARGS),pytest $(ARGS),tests.suite native)

test-vm: .vm/user-mode           ## what this kernel cannot run, on Debian's; GUEST=user-mode|qemu ARGS=tests (docs/testing.md)
	@$(TESTS) tests.vm $(addprefix --,$(GUEST)) $(ARGS)

test-all: .vm/user-mode          ## both, with all of the dear modules, and one summary; CI's
	@$(MAKE) --no-print-directory $(BIN)/.site || echo 'there is no mkdocs: its test is skipped'
	@$(TESTS) tests.suite all

vm-shell: .vm/user-mode          ## a shell on that kernel, in QEMU
	@$(TESTS) tests.vm --shell

lint: $(BIN)/.dev                ## ruff and mypy alone
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(BIN)/.dev                ## run the examples in README.md and docs/ again and write down what comes out
	@PLUMB_UPDATE_DOCS=1 $(MAKE) --no-print-directory test ARGS='tests/test_docs.py tests/draw/test_draw.py tests/draw/test_screenshots.py'

site: $(BIN)/.site               ## docs/ as a site, in build/site; it needs no network to be read
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

golden: $(BIN)/.dev              ## write the plans in tests/golden anew (then read the difference)
	@PLUMB_UPDATE_GOLDEN=1 $(MAKE) --no-print-directory test ARGS=tests/test_golden.py

bench: $(BIN)/.dev               ## how long things take, beside ip, iptables-restore, netavark, CNI
	@PLUMB_TESTS_OUTSIDE='$(OUTSIDE)' $(LAB) $(BIN)/python -m tests.bench $(ARGS)

soak: $(BIN)/.dev                ## thousands of cycles, and kills at random moments: what grows, what is left (an hour; ARGS=--help)
	@$(TESTS) tests.soak $(ARGS)

fuzz: $(BIN)/.dev                ## random scenarios: plumb on its firewalls, and beside a Docker Engine (SEED=7 COUNT=100)
	@$(TESTS) tests.fuzz $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) $(ARGS)

coverage: $(BIN)/.dev            ## the tests with coverage, of forks and subprocesses too; ARGS is pytest's
	@rm -rf build/coverage && mkdir -p build/coverage
	@PLUMB_TESTS_OUTSIDE='$(OUTSIDE)' $(LAB) $(BIN)/python -m coverage run -m pytest -m 'not alone' $(ARGS); status=$$?; \
	 $(BIN)/coverage combine -q && $(BIN)/coverage html -q && $(BIN)/coverage report | tail -n 1; exit $$status

clean:                           ## remove what make made
	rm -rf $(VENV) .vm build .mypy_cache .ruff_cache .pytest_cache .hypothesis

# -- what that needs ---------------------------------------------------------------

$(BIN)/.plumb: pyproject.toml
	@for tool in ip iptables nft sysctl ping gcc etcd; do command -v $$tool >/dev/null || missing=1; done; \
	 $(PYTHON) -c 'import ensurepip' 2>/dev/null || missing=1; \
	 $(PYTHON) -c 'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null || missing=1; \
	 : "Debian's etcd-server starts a service of its own when it is installed: mask it"; \
	 command -v etcd >/dev/null || { mkdir -p /etc/systemd/system; ln -s /dev/null /etc/systemd/system/etcd.service; } 2>/dev/null; \
	 if [ -n "$$missing" ]; then [ -n '$(ROOT)' ] || { echo 'tools are missing: sudo make demo installs them' >&2; exit 1; }; \
	 apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(TOOLS); fi
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install -q --disable-pip-version-check -e .
	@touch $@

# Debian starts a service of some of these when they are installed: their units are masked beforehand, unless they are here.
$(BIN)/.dev: $(BIN)/.plumb
	@for tool in haproxy ipvsadm nginx curl openssl; do command -v $$tool >/dev/null || missing=1; done; \
	 for unit in haproxy nginx containerd; do command -v $$unit >/dev/null || { mkdir -p /etc/systemd/system; \
	 ln -s /dev/null /etc/systemd/system/$$unit.service; } 2>/dev/null; done; \
	 command -v dockerd >/dev/null || for kind in service socket; do \
	 ln -s /dev/null /etc/systemd/system/docker.$$kind; done 2>/dev/null; \
	 command -v podman >/dev/null || for unit in podman.service podman.socket podman-auto-update.service \
	 podman-auto-update.timer podman-restart.service; do \
	 ln -s /dev/null /etc/systemd/system/$$unit; done 2>/dev/null; \
	 if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	 apt-get install -y -qq --no-install-recommends $(TRIED); fi
	@command -v dockerd >/dev/null && command -v busybox >/dev/null || { apt-get update -qq && \
	 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(ENGINE); } || \
	 echo 'there is no dockerd: its tests are skipped'
	@command -v podman >/dev/null && test -x /usr/lib/cni/bridge || { apt-get update -qq && \
	 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(PODMAN); } || \
	 echo 'there is no podman: its tests are skipped'
	@command -v chromium >/dev/null || { apt-get update -qq && \
	 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(BROWSER); } || \
	 echo 'there is no chromium: its tests are skipped'
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[dev]'
	@touch $@

$(BIN)/.site: $(BIN)/.plumb
	@$(BIN)/pip install -q --disable-pip-version-check -e '.[site]'
	@touch $@

.vm/user-mode: $(BIN)/.dev
	@for tool in qemu-system-x86_64 depmod setpriv; do command -v $$tool >/dev/null || missing=1; done; \
	 if [ -n "$$missing" ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	 apt-get install -y -qq --no-install-recommends qemu-system-x86 kmod util-linux; fi
	@$(BIN)/python -m tests.vm.kernel $(@D)
	@touch $@
