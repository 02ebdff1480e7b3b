{{/* Checks that a schema cannot express. Each message is one line with the value and the fix. Argument: the root context. */}}

{{- define "maskrcnn.check" -}}
{{- include "mrc.checkGlobal" . -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values.maskrcnn "path" "maskrcnn." "names" (list "gpus" "gpus_per_node" "device" "image_pull_policy" "backoff_limit" "launcher" "gpu_resource" "network_policy" "termination_grace_period_seconds")) -}}
{{- $m := .Values.maskrcnn -}}
{{- $gpus := int $m.gpus -}}
{{- $perNode := int $m.gpus_per_node -}}
{{- $node := include "maskrcnn.node" . | fromYaml -}}

{{- if mod $gpus $perNode -}}
{{- $below := mul (div $gpus $perNode) $perNode -}}
{{- $fix := printf "maskrcnn.gpus to %d" (add $below $perNode) -}}
{{- if $below -}}{{- $fix = printf "maskrcnn.gpus to %d or %d" $below (add $below $perNode) -}}{{- end -}}
{{- fail (printf "maskrcnn.gpus: %d is not a multiple of maskrcnn.gpus_per_node, %d. Set %s, or maskrcnn.gpus_per_node to a divisor of %d." $gpus $perNode $fix $gpus) -}}
{{- end -}}

{{- if not (kindIs "invalid" $m.gpu_nodes) -}}
{{- if ne (mul $m.gpu_nodes $perNode) (int64 $gpus) -}}
{{- fail (printf "maskrcnn.gpu_nodes: %d nodes of %d GPUs do not add up to maskrcnn.gpus, %d. Set maskrcnn.gpu_nodes to %d, or maskrcnn.gpus to %d." (int $m.gpu_nodes) $perNode $gpus (div $gpus $perNode) (mul $m.gpu_nodes $perNode)) -}}
{{- end -}}
{{- end -}}

{{- if and $node (eq $m.device "gpu") (include "maskrcnn.wholeGpus" .) -}}
{{- if gt $perNode (int $node.gpus) -}}
{{- fail (printf "maskrcnn.gpus_per_node: %d exceeds the %d GPUs of a node of type %s. Set it to %d." $perNode (int $node.gpus) $node.instance_type (int $node.gpus)) -}}
{{- end -}}
{{- if gt (include "maskrcnn.efa" . | int) (int $node.efa) -}}
{{- fail (printf "maskrcnn.efa: %d exceeds the %d EFA interfaces of a node of type %s. Set it to null to use all that the node has." (int $m.efa) (int $node.efa) $node.instance_type) -}}
{{- end -}}
{{- end -}}

{{- $volumes := list -}}
{{- range $m.extra_volumes -}}
{{- if or (has .name (list "efs" "fsx" "shm" "ssh-auth" "mpi-job-config")) (hasPrefix "env-from-" .name) -}}
{{- fail (printf "maskrcnn.extra_volumes: the name %s is already in use. Rename the volume." .name) -}}
{{- end -}}
{{- if has .name $volumes -}}
{{- fail (printf "maskrcnn.extra_volumes: there are two volumes called %s. Rename one." .name) -}}
{{- end -}}
{{- $volumes = append $volumes .name -}}
{{- end -}}
{{- $volumes = concat $volumes (uniq (list .Values.global.shared_fs (include "maskrcnn.dataFs" .))) -}}
{{- $paths := list (printf "/%s" .Values.global.shared_fs) (printf "/%s" (include "maskrcnn.dataFs" .)) "/dev/shm" "/etc/mpi" "/etc/env-from" (include "maskrcnn.sshPath" .) -}}
{{- range $m.extra_volume_mounts -}}
{{- if not (has .name $volumes) -}}
{{- fail (printf "maskrcnn.extra_volume_mounts: there is no volume %s. Add it to maskrcnn.extra_volumes." .name) -}}
{{- end -}}
{{- $path := clean (.mountPath | default "") -}}
{{- if has $path $paths -}}
{{- fail (printf "maskrcnn.extra_volume_mounts: %s is already in use. Choose another mountPath." $path) -}}
{{- end -}}
{{- $paths = append $paths $path -}}
{{- end -}}

{{- range $m.mpirun_args -}}
{{- if has . (list "-np" "--np" "-n" "--n" "-c" "-H" "-host" "--host" "-hostfile" "--hostfile" "-machinefile" "--machinefile") -}}
{{- fail (printf "maskrcnn.mpirun_args: %s is set by the chart and the MPI Operator. Remove it; maskrcnn.gpus and maskrcnn.gpus_per_node decide on the ranks." .) -}}
{{- end -}}
{{- end -}}

{{- $requests := get (include "maskrcnn.workerResources" . | fromYaml) "requests" -}}
{{- if and $m.hugepages (not (hasKey $requests "memory")) (not (hasKey $requests "cpu")) -}}
{{- fail "maskrcnn.hugepages: Kubernetes rejects pods that request huge pages but neither memory nor CPU. Set maskrcnn.memory." -}}
{{- end -}}
{{- end -}}

{{/*
Without the kind Helm's message is only that it cannot get an API resource. A render without a cluster, which does not
know the kind either, finds no service account. Argument: the root context.
*/}}
{{- define "maskrcnn.checkKind" -}}
{{- $kinds := .Capabilities.APIVersions -}}
{{- if and (not ($kinds.Has "kubeflow.org/v2beta1/MPIJob")) (lookup "v1" "ServiceAccount" .Release.Namespace "default") -}}
{{- if $kinds.Has "kubeflow.org/v1/MPIJob" -}}
{{- fail "the MPIJobs of this cluster have version v1, of another operator, but v2beta1 is needed. A cluster can have only one of them: see docs/dependencies.md." -}}
{{- end -}}
{{- fail "the cluster has no MPIJobs. Install the chart mpijob first: helm install mpijob charts/mpijob. In a chart that has both as dependencies, see docs/dependencies.md." -}}
{{- end -}}
{{- end -}}

{{/*
The MPI Operator ignores changes to the spec of an existing job, so an upgrade would silently do nothing. Once the
launcher exists, it holds the settings that are running. Argument: dict "root", "hash" of the new spec.
*/}}
{{- define "maskrcnn.checkUpgrade" -}}
{{- $namespace := include "mrc.namespace" .root -}}
{{- $name := include "maskrcnn.jobName" .root -}}
{{- $live := lookup "kubeflow.org/v2beta1" "MPIJob" $namespace $name -}}
{{- $annotations := dig "metadata" "annotations" dict ($live | default dict) -}}
{{- $launcher := lookup "batch/v1" "Job" $namespace (printf "%s-launcher" $name) | default dict -}}
{{- $old := dig "spec" "template" "metadata" "annotations" "mask-rcnn/settings-sha256" (get $annotations "mask-rcnn/settings-sha256") $launcher -}}
{{- if and $old (ne $old .hash) (eq (get $annotations "meta.helm.sh/release-name") .root.Release.Name) -}}
{{- fail (printf "the run %s/%s already exists with other settings, and an existing job cannot be changed: set maskrcnn.run for a new run, or delete and install to resume with other settings." $namespace $name) -}}
{{- end -}}
{{- end -}}
