#!/bin/bash
# Runs the launcher's command once all workers answer ssh and the run directory is writable.
#
# Environment: SHARED_FS or RUN_DIR (the run directory), SSH_OPTIONS (for ssh to the workers), LAUNCH_TIMEOUT
# (how long to wait for the workers, 600 seconds by default), ENV_FROM (where the ConfigMaps and Secrets of env_from are
# mounted, /etc/env-from by default). It needs only bash and ssh, so that it works in
# images that were not made for this chart.
set -euo pipefail

say() { printf 'launch: %s\n' "$*" >&2; }

read -ra ssh_options <<<"${SSH_OPTIONS:-}"
limit=${LAUNCH_TIMEOUT:-600}
hostfile=${OMPI_MCA_orte_default_hostfile:-/etc/mpi/hostfile}
directory=${RUN_DIR:-${SHARED_FS:?is not set}}

# The workers' host key is the job's own key, whose public half is beside it.
key='' known_hosts=''
for ((i = 0; i < ${#ssh_options[@]}; i++)); do
  case ${ssh_options[i]} in
    -i) key=${ssh_options[i + 1]} ;;
    UserKnownHostsFile=*) known_hosts=${ssh_options[i]#*=} ;;
  esac
done
if [[ -r $key.pub && $known_hosts ]]; then printf '* %s\n' "$(<"$key.pub")" >"$known_hosts"; fi

# Waits until a host answers ssh; prints the last error and fails when the time limit is reached.
await() {
  local host=$1 answer
  until answer=$(ssh -n -o BatchMode=yes -o ConnectTimeout=5 -o ConnectionAttempts=1 "${ssh_options[@]}" "$host" true 2>&1); do
    if ((SECONDS >= limit)); then
      say "$host does not answer ssh after $limit s: ${answer##*$'\n'}"
      return 1
    fi
    sleep 1
  done
}

if ! { mkdir -p "$directory" && probe=$(mktemp "$directory/.write-check.XXXXXX") && rm "$probe"; } 2>/dev/null; then
  say "$directory is not writable for user $(id -u), group $(id -g)." \
    "Run this once on any machine that mounts the file system: mkdir -p $directory && chown $(id -u):$(id -g) $directory;" \
    "or set maskrcnn.run_as_user and maskrcnn.run_as_group to its owner."
  exit 1
fi

if [[ ! -r $hostfile ]]; then
  say "hostfile $hostfile not found: this command runs in the launcher of an MPIJob."
  exit 1
fi
hosts=()
while read -r host _; do
  [[ -z $host || $host == '#'* || $host == localhost ]] || hosts+=("$host")
done <"$hostfile"

waits=()
# As the first process of a container, bash would otherwise ignore SIGTERM.
trap 'kill "${waits[@]}"; exit 143' TERM INT
for host in "${hosts[@]+"${hosts[@]}"}"; do
  await "$host" &
  waits+=($!)
done
silent=0
for pid in "${waits[@]+"${waits[@]}"}"; do
  wait "$pid" || silent=$((silent + 1))
done
if ((silent)); then
  say "$silent of ${#hosts[@]} workers do not answer. Their pods and events: kubectl describe pod -l training.kubeflow.org/job-role=worker"
  exit 1
fi
if ((${#hosts[@]})); then say "${#hosts[@]} workers answer after $SECONDS s"; fi

# Variables of env_from, which Kubernetes has set here, are exported to the ranks. The names are those of the files of the
# mounted ConfigMaps and Secrets, with the prefix that follows the hyphen of their directory.
exports=()
for file in "${ENV_FROM:-/etc/env-from}"/*/*; do
  source=${file%/*} && source=${source##*/}
  name=${source#*-}${file##*/}
  if [[ $name =~ ^[A-Za-z_][A-Za-z0-9_]*$ && -v $name && $name != OMPI_MCA_* && " $* " != *" -x $name "* ]]; then
    exports+=(-x "$name")
  fi
done

# `mpirun -x` warns about an unset variable; an empty one would mean the working directory.
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-/usr/local/lib}
# Called by its full path, mpirun starts its daemon from the same directory on the workers, where an ssh session
# does not have the PATH of the image.
program=$(command -v "$1") || {
  say "this image has no $1"
  exit 127
}
set -- "$1" "${exports[@]+"${exports[@]}"}" "${@:2}"
say "running: $(printf '%q ' "$program" "${@:2}")"
"$program" "${@:2}" &
child=$!
# After SIGTERM, mpirun kills the ranks within two seconds. It forwards SIGUSR1 to them: mrc-train then saves a
# checkpoint and ends, other trainers just end. A second SIGTERM is passed to mpirun.
trap 'kill -USR1 "$child" || true; trap "kill -TERM $child || true" TERM INT' TERM INT
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do # a signal interrupted `wait`; the command is still running
  code=0
  wait "$child" || code=$?
done
exit "$code"
