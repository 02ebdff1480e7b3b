# Before a worker is terminated: tells its ranks to stop, and waits until Open MPI's daemon has ended.
#
# SIGUSR1 to any rank of mrc-train makes all ranks finish their step, save a checkpoint and end; other trainers just end.
# Kubernetes kills what is left when the grace period is over. PROC replaces /proc in tests. It needs only bash.
proc=${PROC:-/proc}

# Prints "pid parent name" of each process, one a line.
processes() {
  local file stat state parent name
  for file in "$proc"/[0-9]*/stat; do
    # <pid> (<name, which may contain blanks and brackets>) <state> <parent's pid> ...
    { stat=$(<"$file"); } 2>/dev/null || continue
    name=${stat#*\(}
    read -r state parent _ <<<"${stat##*\) }"
    [[ $state == Z ]] || echo "${stat%% *} $parent ${name%\)*}"
  done
}

daemons() {
  local pid name
  while read -r pid _ name; do
    [[ $name != orted ]] || echo "$pid"
  done < <(processes)
}

for daemon in $(daemons); do
  while read -r pid parent _; do
    [[ $parent != "$daemon" ]] || kill -USR1 "$pid" 2>/dev/null
  done < <(processes)
done
while [[ -n $(daemons) ]]; do sleep 0.5; done
