{{/* Helpers of the tensorboard chart. The argument is the root context ("."). */}}

{{/* Directory of the logs, as an argument that Kubernetes expands. */}}
{{- define "tensorboard.logDir" -}}
$(SHARED_FS)/{{ .Values.log_dir | default (include "mrc.namespace" .) | trimSuffix "/" }}
{{- end -}}

{{- define "tensorboard.check" -}}
{{- include "mrc.checkGlobal" . -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values "path" (include "mrc.valuePath" .) "names" (list "port" "target_port" "image_pull_policy" "service" "run_as_user" "run_as_group")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values.service "path" (printf "%sservice." (include "mrc.valuePath" .)) "names" (list "type" "scheme")) -}}
{{- end -}}

{{/* The next commands, for the NOTES of this chart and of its parent. */}}
{{- define "tensorboard.notes" -}}
TensorBoard, at http://localhost:{{ int .Values.target_port }}:
  {{ include "mrc.portForward" (dict "root" . "port" (int .Values.target_port)) }}
{{- end -}}
