"""Containers and networks of other engines on this host, as the values that plumb's own are.

`read_host.read()` asks each engine that it finds. Nothing is changed, no lock is taken.

values        containers and networks, each with its source
fields        fields of documents that other programs wrote, checked
docker        documents of Docker's Engine API as containers and networks
docker_api    asks Docker's Engine API
names         names by which commands take them
docker_files  reads Docker's containers from files and processes, where dockerd does not answer
podman        documents of Podman's as those of Docker's Engine API
podman_files  reads root's Podman from conmon's command lines, where its service does not answer
netavark      reads Podman's published ports from netavark's rules
cni           reads the results of CNI's plugins: Kubernetes' pods, nerdctl's containers
overlays      finds the namespaces of Docker's overlay networks
namespaces    finds network namespaces that nobody has told of
rootless      names containers of rootless engines, whose packets no link of the host has
others        adds what files and processes tell to what engines have answered
read_host     reads all engines of this host
"""
