{{/* Helpers of the tensorboard chart. The argument is the root context ("."). */}}

{{/* Directory of the logs, as an argument that Kubernetes expands. */}}
{{- define "tensorboard.logDir" -}}
$(SHARED_FS)/{{ .Values.log_dir | default (include "mrc.namespace" .) | trimSuffix "/" }}
{{- end -}}

{{/*
Name of the Secret with the token; empty if TensorBoard asks for none, because it can be reached only from within the
cluster and with kubectl.
*/}}
{{- define "tensorboard.tokenSecret" -}}
{{- if .Values.token_secret -}}{{- .Values.token_secret -}}
{{- else if or .Values.ingress.enabled (ne .Values.service.type "ClusterIP") -}}{{- include "mrc.serverName" . }}-token
{{- end -}}
{{- end -}}

{{- define "tensorboard.check" -}}
{{- include "mrc.checkGlobal" . -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values "path" (include "mrc.valuePath" .) "names" (list "port" "target_port" "image_pull_policy" "service" "ingress" "network_policy" "run_as_user" "run_as_group")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values.service "path" (printf "%sservice." (include "mrc.valuePath" .)) "names" (list "type" "scheme")) -}}
{{- end -}}

{{/* The next commands, for the NOTES of this chart and of its parent. */}}
{{- define "tensorboard.notes" -}}
TensorBoard, at http://localhost:{{ int .Values.target_port }}:
  {{ include "mrc.portForward" (dict "root" . "port" (int .Values.target_port)) }}
{{- with include "tensorboard.tokenSecret" . }}
and its token, the password for any user name:
  {{ include "mrc.printToken" (dict "root" $ "name" .) }}
{{- end }}
{{- end -}}
