#!/bin/bash
# Runs the launcher's command once every worker answers ssh and the run's folder takes a file.
#
# Read from the environment: SHARED_FS or RUN_DIR (where the run writes), SSH_OPTIONS (for ssh to the
# workers), LAUNCH_TIMEOUT (seconds to wait for the workers, 600). Needs bash and ssh only, so that it works
# in images that were not made for this chart.
set -euo pipefail

say() { printf 'launch: %s\n' "$*" >&2; }

read -ra ssh_options <<<"${SSH_OPTIONS:-}"
limit=${LAUNCH_TIMEOUT:-600}
hostfile=${OMPI_MCA_orte_default_hostfile:-/etc/mpi/hostfile}
folder=${RUN_DIR:-${SHARED_FS:?is not set}}

# Succeeds when the host answers; says so and fails when it has not within the limit.
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

if ! { mkdir -p "$folder" && probe=$(mktemp "$folder/.write-check.XXXXXX") && rm "$probe"; } 2>/dev/null; then
  say "$folder is not writable for user $(id -u), group $(id -g)." \
    "Make it so once, on any machine that mounts the file system: mkdir -p $folder && chown $(id -u):$(id -g) $folder;" \
    "or set maskrcnn.run_as_user and maskrcnn.run_as_group to its owner."
  exit 1
fi

if [[ ! -r $hostfile ]]; then
  say "there is no hostfile $hostfile: this command runs in the launcher of an MPIJob."
  exit 1
fi
hosts=()
while read -r host _; do
  [[ -z $host || $host == '#'* || $host == localhost ]] || hosts+=("$host")
done <"$hostfile"

waits=()
# As a container's first process, bash would sit out a SIGTERM until it is killed.
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
say "${#hosts[@]} workers answer after $SECONDS s"

# `mpirun -x` warns about a variable that is not there; an empty one would stand for the working folder.
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:-/usr/local/lib}
# Called by its full path, mpirun looks for its daemon in the same folder of the workers: an ssh session there
# does not have the image's PATH.
program=$(command -v "$1") || {
  say "this image has no $1"
  exit 127
}
say "running: $(printf '%q ' "$program" "${@:2}")"
"$program" "${@:2}" &
child=$!
# mpirun answers SIGTERM by killing the ranks two seconds later. SIGUSR1 it hands on to them: mrc-train saves a
# checkpoint and leaves, other trainers end. A second SIGTERM is mpirun's.
trap 'kill -USR1 "$child" || true; trap "kill -TERM $child || true" TERM INT' TERM INT
code=0
wait "$child" || code=$?
while kill -0 "$child" 2>/dev/null; do # a signal ended the wait, not the command
  code=0
  wait "$child" || code=$?
done
exit "$code"
