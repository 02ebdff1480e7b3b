{{/*
Names, placement, resources and volumes of the training job. The argument is the root context ("."), unless the
comment says otherwise; the result of templates that return YAML is parsed with fromYaml.
*/}}

{{/*
Name of the MPIJob: <name> or <name>-<run>. The default name is the release's; in a dependency of another chart,
<release>-<alias>, so that two of one release differ. At most 48 characters, so that <job>-worker-<n> and
<job>-launcher-xxxxx stay within the 63 of a host name.
*/}}
{{- define "maskrcnn.jobName" -}}
{{- $name := .Values.maskrcnn.name | default (ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) .Chart.IsRoot) -}}
{{- $run := .Values.maskrcnn.run -}}
{{- if not (has $run (list nil "")) -}}{{- $name = printf "%s-%s" $name (include "mrc.literal" $run) -}}{{- end -}}
{{- include "mrc.dnsName" (dict "text" $name "max" 48) -}}
{{- end -}}

{{/* Directory of the run, as an argument that Kubernetes expands. */}}
{{- define "maskrcnn.runDir" -}}
$(SHARED_FS)/{{ include "mrc.namespace" . }}/{{ include "maskrcnn.jobName" . }}
{{- end -}}

{{/* Row of the node-group catalogue (YAML), an empty one without a node group. */}}
{{- define "maskrcnn.node" -}}
{{- include "mrc.nodeGroup" (dict "root" . "values" .Values.maskrcnn "path" "maskrcnn." "others" "maskrcnn.node_selector, memory and efa") -}}
{{- end -}}

{{- define "maskrcnn.workers" -}}
{{- div (int .Values.maskrcnn.gpus) (int .Values.maskrcnn.gpus_per_node) -}}
{{- end -}}

{{/* "true" if the workers request whole GPUs, as the catalogue counts them; not MIG devices or shared GPUs. */}}
{{- define "maskrcnn.wholeGpus" -}}
{{- if eq .Values.maskrcnn.gpu_resource "nvidia.com/gpu" -}}true{{- end -}}
{{- end -}}

{{/* EFA interfaces of a worker: its share of the node's, rounded down; none without a share of whole GPUs. */}}
{{- define "maskrcnn.efa" -}}
{{- $m := .Values.maskrcnn -}}
{{- $node := include "maskrcnn.node" . | fromYaml -}}
{{- if eq $m.device "cpu" -}}0
{{- else if not (kindIs "invalid" $m.efa) -}}{{- int $m.efa -}}
{{- else if and $node (include "maskrcnn.wholeGpus" .) -}}{{- div (mul $node.efa $m.gpus_per_node) $node.gpus -}}
{{- else -}}0
{{- end -}}
{{- end -}}

{{/* Resources of a worker. Nine tenths of its share of the node: the rest is left to the node's daemon sets. */}}
{{- define "maskrcnn.workerResources" -}}
{{- $m := .Values.maskrcnn -}}
{{- $node := include "maskrcnn.node" . | fromYaml -}}
{{- $requests := dict -}}
{{- $limits := dict -}}
{{- if eq $m.device "cpu" -}}
{{- $_ := set $requests "cpu" (printf "%dm" (mul 250 $m.gpus_per_node)) -}}
{{- $_ := set $requests "memory" (printf "%dMi" (mul 1024 $m.gpus_per_node)) -}}
{{- else -}}
{{- $_ := set $limits $m.gpu_resource (int $m.gpus_per_node) -}}
{{- with include "maskrcnn.efa" . | int -}}{{- $_ := set $limits "vpc.amazonaws.com/efa" . -}}{{- end -}}
{{- if and $node (include "maskrcnn.wholeGpus" .) -}}
{{- $share := dict "n" (mul 9 $m.gpus_per_node) "d" (mul 10 $node.gpus) -}}
{{- $_ := set $requests "cpu" (printf "%dm" (div (mul $node.allocatable.cpu_millis $share.n) $share.d)) -}}
{{- $_ := set $limits "memory" (printf "%dMi" (div (mul $node.allocatable.memory_mib $share.n) $share.d)) -}}
{{- end -}}
{{- end -}}
{{- with $m.cpu -}}{{- $_ := set $requests "cpu" (include "mrc.literal" .) -}}{{- end -}}
{{- with $m.memory -}}{{- $_ := set $limits "memory" . -}}{{- end -}}
{{- with $m.hugepages -}}{{- $_ := set $limits "hugepages-2Mi" . -}}{{- end -}}
{{- /* Kubernetes requires request = limit for devices and huge pages. The same holds here for memory, which includes /dev/shm. */ -}}
{{- toYaml (dict "limits" $limits "requests" (merge (deepCopy $limits) $requests)) -}}
{{- end -}}

{{/* Size of /dev/shm, which counts against the pod's memory when used. */}}
{{- define "maskrcnn.shm" -}}
{{- $m := .Values.maskrcnn -}}
{{- $node := include "maskrcnn.node" . | fromYaml -}}
{{- if $m.shm -}}{{- $m.shm -}}
{{- else if eq $m.device "cpu" -}}1Gi
{{- else if and $node (include "maskrcnn.wholeGpus" .) -}}{{- printf "%dMi" (div (mul $node.allocatable.memory_mib $m.gpus_per_node) (mul 4 $node.gpus)) -}}
{{- else -}}8Gi
{{- end -}}
{{- end -}}

{{/* The file system of the data: efs or fsx. */}}
{{- define "maskrcnn.dataFs" -}}
{{- .Values.maskrcnn.data_fs | default .Values.global.shared_fs -}}
{{- end -}}

{{- define "maskrcnn.dataClaim" -}}
{{- include "mrc.dataClaim" (dict "root" . "fs" (include "maskrcnn.dataFs" .) "claim" .Values.maskrcnn.data_pvc "path" "maskrcnn.") -}}
{{- end -}}

{{/*
Volumes of a pod, a list. Argument: dict "root", "shm", the size of /dev/shm, "env_from", the sources of variables (both
optional). The sources are also mounted, since the names of their variables are known only in the pod.
*/}}
{{- define "maskrcnn.volumes" -}}
{{- $sharedFs := .root.Values.global.shared_fs -}}
{{- $dataFs := include "maskrcnn.dataFs" .root -}}
- name: {{ $sharedFs }}
  persistentVolumeClaim:
    claimName: {{ include "mrc.sharedClaim" .root | quote }}
{{- $dataClaim := include "maskrcnn.dataClaim" .root }}
{{- if ne $dataFs $sharedFs }}
- name: {{ $dataFs }}
  persistentVolumeClaim:
    claimName: {{ $dataClaim | quote }}
{{- end }}
{{- with .shm }}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ . | quote }}
{{- end }}
{{- range $i, $source := .env_from }}
- name: env-from-{{ $i }}
  {{- with $source.configMapRef }}
  configMap:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $source.secretRef }}
  secret:
    secretName: {{ .name | quote }}
    {{- with .optional }}
    optional: {{ . }}
    {{- end }}
  {{- end }}
{{- end }}
{{- with .root.Values.maskrcnn.extra_volumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Mounts of these volumes, a list. The argument is the same. */}}
{{- define "maskrcnn.volumeMounts" -}}
{{- range $i, $fs := uniq (list .root.Values.global.shared_fs (include "maskrcnn.dataFs" .root)) }}
{{- if $i }}{{ "\n" }}{{ end -}}
- name: {{ $fs }}
  mountPath: /{{ $fs }}
{{- end }}
{{- with .shm }}
- name: shm
  mountPath: /dev/shm
{{- end }}
{{- range $i, $source := .env_from }}
- name: env-from-{{ $i }}
  # launch.sh exports the variables that the files in it name, with the prefix after the hyphen.
  mountPath: /etc/env-from/{{ $i }}-{{ $source.prefix }}
  readOnly: true
{{- end }}
{{- with .root.Values.maskrcnn.extra_volume_mounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Name of the pods' service account; empty for the namespace's default. */}}
{{- define "maskrcnn.serviceAccount" -}}
{{- with .Values.maskrcnn.service_account -}}
{{- .name | default (ternary (include "maskrcnn.jobName" $) "" (eq .create true)) -}}
{{- end -}}
{{- end -}}

{{/* "true" when the pods do not run as root. */}}
{{- define "maskrcnn.nonRoot" -}}
{{- if .Values.maskrcnn.run_as_user -}}true{{- end -}}
{{- end -}}

{{- define "maskrcnn.podSecurityContext" -}}
{{- $m := .Values.maskrcnn -}}
{{- $context := dict -}}
{{- if not (kindIs "invalid" $m.run_as_user) -}}{{- $_ := set $context "runAsUser" (int64 $m.run_as_user) -}}{{- end -}}
{{- if not (kindIs "invalid" $m.run_as_group) -}}{{- $_ := set $context "runAsGroup" (int64 $m.run_as_group) -}}{{- end -}}
{{- if include "maskrcnn.nonRoot" . -}}
{{- $_ := set $context "runAsNonRoot" true -}}
{{- end -}}
{{- $_ := set $context "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- toYaml $context -}}
{{- end -}}

{{- define "maskrcnn.containerSecurityContext" -}}
allowPrivilegeEscalation: false
{{- /* As root, sshd needs capabilities for its unprivileged child. */ -}}
{{- if include "maskrcnn.nonRoot" . }}
capabilities:
  drop: [ALL]
{{- end -}}
{{- end -}}

{{/* Directory where the operator mounts the job's ssh key. Only at /root/.ssh it makes the key readable by root alone. */}}
{{- define "maskrcnn.sshPath" -}}
{{- ternary "/home/mpiuser/.ssh" "/root/.ssh" (eq (include "maskrcnn.nonRoot" .) "true") -}}
{{- end -}}

{{- define "maskrcnn.sshPort" -}}
{{- ternary 2222 22 (eq (include "maskrcnn.nonRoot" .) "true") -}}
{{- end -}}

{{/* File with the workers' host key, which is the job's own key. launch.sh and sshdCommand write it. */}}
{{- define "maskrcnn.knownHosts" -}}
/tmp/mpi_known_hosts
{{- end -}}

{{/* Options of ssh to the workers, for launch.sh and mpirun; they override the image's ssh_config. */}}
{{- define "maskrcnn.sshOptions" -}}
{{- $path := include "maskrcnn.sshPath" . -}}
-p {{ include "maskrcnn.sshPort" . }} -i {{ $path }}/id_rsa -o StrictHostKeyChecking=yes -o UserKnownHostsFile={{ include "maskrcnn.knownHosts" . }} -o LogLevel=ERROR -o ConnectionAttempts=10
{{- end -}}

{{/*
Command of a worker: sshd, without the image's configuration and host keys. With many workers, Open MPI's daemons connect
to one another, so workers check host keys too.
*/}}
{{- define "maskrcnn.sshdCommand" -}}
{{- $path := include "maskrcnn.sshPath" . -}}
{{- if not (include "maskrcnn.nonRoot" .) }}mkdir -p /run/sshd && {{ end -}}
printf '* %s\n' "$(cat {{ $path }}/id_rsa.pub)" >{{ include "maskrcnn.knownHosts" . }} && exec /usr/sbin/sshd -De -f /dev/null -p {{ include "maskrcnn.sshPort" . }} -o HostKey={{ $path }}/id_rsa -o AuthorizedKeysFile={{ $path }}/authorized_keys -o StrictModes=no -o PasswordAuthentication=no -o PidFile=none -o LogLevel=ERROR
{{- end -}}

{{- define "maskrcnn.tolerations" -}}
{{- include "mrc.tolerations" (dict "node" (include "maskrcnn.node" . | fromYaml) "values" .Values.maskrcnn) -}}
{{- end -}}

{{- define "maskrcnn.nodeSelector" -}}
{{- include "mrc.nodeSelector" (dict "node" (include "maskrcnn.node" . | fromYaml) "values" .Values.maskrcnn) -}}
{{- end -}}
