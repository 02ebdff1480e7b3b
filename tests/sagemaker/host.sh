#!/bin/bash
# One host of a job: host.sh DIRECTORY NUMBER COMMAND... in new namespaces of network, host name, mounts and processes.
# DIRECTORY has ml/, which becomes /opt/ml, hosts and passwd. Waits until the test moves an interface eth0 in here.
set -euo pipefail
directory=$1 number=$2
shift 2
hostname "algo-$number"
mount --bind "$directory/hosts" /etc/hosts
mount --bind "$directory/passwd" /etc/passwd
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /opt
mkdir /opt/ml
mount --rbind "$directory/ml" /opt/ml
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip addr add "198.18.201.$number/24" dev eth0
ip link set eth0 up
exec "$@"
