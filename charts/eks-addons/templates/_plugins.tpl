{{/* What the two device plugins share. The argument is dict "root", "name": nvidia or efa, "count": gpus or efa. */}}

{{- define "eksAddons.check" -}}
{{- include "mrc.checkGlobal" .root -}}
{{- include "mrc.checkNulls" (dict "values" (get .root.Values .name) "path" (printf "%s." .name) "names" (list "enabled" "image" "image_pull_policy")) -}}
{{- end -}}

{{- define "eksAddons.name" -}}
{{- include "mrc.dnsName" (dict "text" (printf "%s-%s" .root.Release.Name .name) "max" 63) -}}
{{- end -}}

{{/*
Where a plugin runs, for its pod's spec (YAML): on the instance types of the catalogue that have any of "count", whatever
created the nodes, and on those of the user. A plugin on other nodes would only fail there.
*/}}
{{- define "eksAddons.nodes" -}}
{{- $values := get .root.Values .name -}}
{{- $types := $values.instance_types | default list -}}
{{- $tolerations := list -}}
{{- $count := .count -}}
{{- range .root.Files.Get "files/common/node-groups.yaml" | fromYaml -}}
{{- if get . $count -}}
{{- $types = append $types .instance_type -}}
{{- range .taints -}}
{{- $tolerations = append $tolerations (dict "key" .key "operator" "Exists" "effect" .effect) -}}
{{- end -}}
{{- end -}}
{{- end -}}
affinity:
  nodeAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      nodeSelectorTerms:
        - matchExpressions:
            - key: node.kubernetes.io/instance-type
              operator: In
              values:
                {{- $types | uniq | sortAlpha | toYaml | nindent 16 }}
tolerations:
  {{- concat $tolerations ($values.tolerations | default list) | uniq | toYaml | nindent 2 }}
{{- end -}}
