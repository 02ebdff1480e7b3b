{{/* Helpers of the jupyter chart. The argument is the root context ("."), unless the comment says otherwise. */}}

{{- define "jupyter.node" -}}
{{- $path := include "mrc.valuePath" . -}}
{{- include "mrc.nodeGroup" (dict "root" . "values" .Values "path" $path "others" (printf "%snode_selector and tolerations" $path)) -}}
{{- end -}}

{{/* The file system of the data: efs or fsx. */}}
{{- define "jupyter.dataFs" -}}
{{- .Values.data_fs | default .Values.global.shared_fs -}}
{{- end -}}

{{/* Names of the Secrets of token and certificate: the user's or this chart's. */}}
{{- define "jupyter.tokenSecret" -}}
{{- .Values.token_secret | default (printf "%s-token" (include "mrc.serverName" .)) -}}
{{- end -}}

{{- define "jupyter.tlsSecret" -}}
{{- .Values.tls_secret | default (printf "%s-tls" (include "mrc.serverName" .)) -}}
{{- end -}}

{{/* The certificate for the service's names (YAML, a Secret's data): that of the previous install, or a new one. */}}
{{- define "jupyter.newCertificate" -}}
{{- $name := include "mrc.serverName" . -}}
{{- $namespace := include "mrc.namespace" . -}}
{{- $data := dig "data" dict (lookup "v1" "Secret" $namespace (include "jupyter.tlsSecret" .) | default dict) -}}
{{- $certificate := get $data "tls.crt" -}}
{{- $key := get $data "tls.key" -}}
{{- if not (and $certificate $key) -}}
{{- $names := list $name (printf "%s.%s" $name $namespace) (printf "%s.%s.svc" $name $namespace) "localhost" -}}
{{- $new := genSelfSignedCertWithKey $name (list "127.0.0.1") $names 3650 (genPrivateKey "ecdsa") -}}
{{- $certificate = b64enc $new.Cert -}}
{{- $key = b64enc $new.Key -}}
{{- end -}}
tls.crt: {{ $certificate }}
tls.key: {{ $key }}
{{- end -}}

{{/* Checks that a schema cannot express. */}}
{{- define "jupyter.check" -}}
{{- $path := include "mrc.valuePath" . -}}
{{- include "mrc.checkGlobal" . -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values "path" $path "names" (list "port" "target_port" "image_pull_policy" "service" "ingress" "network_policy" "gpus" "gpu_resource" "run_as_user" "run_as_group")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values.service "path" (printf "%sservice." $path) "names" (list "type" "scheme")) -}}
{{- $node := include "jupyter.node" . | fromYaml -}}
{{- if and $node (eq .Values.gpu_resource "nvidia.com/gpu") (gt (int .Values.gpus) (int $node.gpus)) -}}
{{- fail (printf "%sgpus: %d exceeds the %d GPUs of a node of type %s. Set it to %d." $path (int .Values.gpus) (int $node.gpus) $node.instance_type (int $node.gpus)) -}}
{{- end -}}
{{- end -}}

{{/* The next commands, for the NOTES of this chart and of its parent. */}}
{{- define "jupyter.notes" -}}
Jupyter, at https://localhost:{{ int .Values.target_port }}{{ if not .Values.tls_secret }} (the browser warns about the self-signed certificate){{ end }}:
  {{ include "mrc.portForward" (dict "root" . "port" (int .Values.target_port)) }}
and its token:
  {{ include "mrc.printToken" (dict "root" . "name" (include "jupyter.tokenSecret" .)) }}
{{- end -}}
