{{/* Checks that a schema cannot express. Each message is one line with the value and the fix. Argument: the root context. */}}

{{- define "maskrcnn.check" -}}
{{- include "mrc.checkGlobal" . -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values.maskrcnn "path" "maskrcnn." "names" (list "gpus" "gpus_per_node" "device" "image_pull_policy" "backoff_limit" "launcher")) -}}
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

{{- if and $node (eq $m.device "gpu") -}}
{{- if gt $perNode (int $node.gpus) -}}
{{- fail (printf "maskrcnn.gpus_per_node: %d exceeds the %d GPUs of a node of type %s. Set it to %d." $perNode (int $node.gpus) $node.instance_type (int $node.gpus)) -}}
{{- end -}}
{{- if gt (include "maskrcnn.efa" . | int) (int $node.efa) -}}
{{- fail (printf "maskrcnn.efa: %d exceeds the %d EFA interfaces of a node of type %s. Set it to null to use all that the node has." (int $m.efa) (int $node.efa) $node.instance_type) -}}
{{- end -}}
{{- end -}}

{{- range $m.extra_volumes -}}
{{- if has .name (list "efs" "fsx" "shm") -}}
{{- fail (printf "maskrcnn.extra_volumes: the chart uses the name %s itself. Rename the volume." .name) -}}
{{- end -}}
{{- end -}}
{{- $volumes := list "efs" "fsx" "shm" -}}
{{- range $m.extra_volumes -}}{{- $volumes = append $volumes .name -}}{{- end -}}
{{- range $m.extra_volume_mounts -}}
{{- if not (has .name $volumes) -}}
{{- fail (printf "maskrcnn.extra_volume_mounts: there is no volume %s. Add it to maskrcnn.extra_volumes." .name) -}}
{{- end -}}
{{- end -}}

{{- if and $m.hugepages (not $m.memory) (not (and $node (eq $m.device "gpu"))) -}}
{{- fail "maskrcnn.hugepages: Kubernetes requires a memory limit for pods with huge pages. Set maskrcnn.memory, or maskrcnn.node_group." -}}
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
