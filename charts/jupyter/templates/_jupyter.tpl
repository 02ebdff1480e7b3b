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

{{/* The token (YAML, an entry of a Secret's data): that of the previous install, or a new one. */}}
{{- define "jupyter.newToken" -}}
{{- $secret := lookup "v1" "Secret" (include "mrc.namespace" .) (include "jupyter.tokenSecret" .) | default dict -}}
{{- $kept := dig "data" "token" "" $secret -}}
token: {{ $kept | default (randAlphaNum 40 | b64enc) }}
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

{{/*
A string that changes whenever a Secret of the user's does. It does not depend on the content, since a short token could
be guessed from a hash. Argument: dict "root", "name".
*/}}
{{- define "jupyter.secretVersion" -}}
{{- $secret := lookup "v1" "Secret" (include "mrc.namespace" .root) .name | default dict -}}
{{ .name }} {{ dig "metadata" "uid" "" $secret }} {{ dig "metadata" "resourceVersion" "" $secret }}
{{- end -}}

{{/* Checks that a schema cannot express. */}}
{{- define "jupyter.check" -}}
{{- $path := include "mrc.valuePath" . -}}
{{- include "mrc.checkGlobal" . -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values "path" $path "names" (list "port" "target_port" "image_pull_policy" "service" "gpus" "run_as_user" "run_as_group")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values.service "path" (printf "%sservice." $path) "names" (list "type" "scheme")) -}}
{{- $node := include "jupyter.node" . | fromYaml -}}
{{- if and $node (gt (int .Values.gpus) (int $node.gpus)) -}}
{{- fail (printf "%sgpus: %d exceeds the %d GPUs of a node of type %s. Set it to %d." $path (int .Values.gpus) (int $node.gpus) $node.instance_type (int $node.gpus)) -}}
{{- end -}}
{{- end -}}

{{/* The next commands, for the NOTES of this chart and of its parent. */}}
{{- define "jupyter.notes" -}}
{{- $namespace := include "mrc.namespace" . -}}
Jupyter, at https://localhost:{{ int .Values.target_port }}{{ if not .Values.tls_secret }} (the browser warns about the self-signed certificate){{ end }}:
  {{ include "mrc.portForward" (dict "root" . "port" (int .Values.target_port)) }}
and its token:
  kubectl get secret --namespace {{ $namespace }} {{ include "jupyter.tokenSecret" . }} --output jsonpath='{.data.token}' | base64 --decode; echo
{{- end -}}
