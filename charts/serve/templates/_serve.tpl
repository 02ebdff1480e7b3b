{{/* Helpers of the serve chart. The argument is the root context ("."). */}}

{{/* The model's directory, as an argument that Kubernetes expands. */}}
{{- define "serve.model" -}}
$(SHARED_FS)/{{ required (printf "%smodel is not set. Set it to the directory of an exported model, or of a run, on the file system in global.shared_fs, such as kubeflow/exported." (include "mrc.valuePath" .)) .Values.model | trimSuffix "/" }}
{{- end -}}

{{- define "serve.check" -}}
{{- $path := include "mrc.valuePath" . -}}
{{- include "mrc.checkGlobal" . -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values "path" $path "names" (list "port" "target_port" "image_pull_policy" "timeout" "queue" "replicas" "autoscaling" "service" "run_as_user" "run_as_group")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values.service "path" (printf "%sservice." $path) "names" (list "type" "scheme")) -}}
{{- $scaling := .Values.autoscaling -}}
{{- include "mrc.checkNulls" (dict "values" $scaling "path" (printf "%sautoscaling." $path) "names" (list "min_replicas" "max_replicas" "target_cpu")) -}}
{{- if gt (int $scaling.min_replicas) (int $scaling.max_replicas) -}}
{{- fail (printf "%sautoscaling.min_replicas: %d is more than max_replicas, %d. Set max_replicas to at least %d." $path (int $scaling.min_replicas) (int $scaling.max_replicas) (int $scaling.min_replicas)) -}}
{{- end -}}
{{- if and $scaling.enabled (not (dig "requests" "cpu" "" (.Values.resources | default dict))) -}}
{{- fail (printf "%sautoscaling.enabled: needs a CPU request to compare with. Set %sresources.requests.cpu." $path $path) -}}
{{- end -}}
{{- end -}}

{{/* Resources of the container (YAML): the user's, and the GPUs. */}}
{{- define "serve.resources" -}}
{{- $resources := .Values.resources | default dict | deepCopy -}}
{{- if .Values.gpus -}}
{{- $gpus := dict "nvidia.com/gpu" (int .Values.gpus) -}}
{{- $resources = merge (dict "limits" $gpus "requests" $gpus) $resources -}}
{{- end -}}
{{- toYaml $resources -}}
{{- end -}}
