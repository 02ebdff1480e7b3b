{{/*
Objects of the user, which are installed with the release. Strings in them may be templates. Objects without a namespace
are created in that of the chart's objects; the API server ignores it for kinds without namespaces. Argument: dict
"root", "objects", a list.
*/}}
{{- define "mrc.extraObjects" -}}
{{- range .objects }}
{{- $object := tpl (toYaml .) $.root | fromYaml }}
{{- $metadata := merge (dict) ($object.metadata | default dict) (dict "namespace" (include "mrc.namespace" $.root)) }}
---
{{ toYaml (merge (dict "metadata" $metadata) $object) }}
{{- end }}
{{- end -}}
