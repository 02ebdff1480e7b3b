{{/* The node-group catalogue, node selectors and tolerations. */}}

{{/*
Row of the node-group catalogue (YAML), empty without a node group. Argument: dict "root", "values" with node_group and
gpu_instance_type, "path", their prefix with a trailing dot, "others": the values for other nodes.
*/}}
{{- define "mrc.nodeGroup" -}}
{{- $groups := .root.Files.Get "files/common/node-groups.yaml" | fromYaml -}}
{{- $row := dict -}}
{{- if .values.node_group -}}
{{- if not (hasKey $groups .values.node_group) -}}
{{- fail (printf "%snode_group: %s is not in the catalogue. Set it to one of %s, or to \"\" and set %s yourself." .path .values.node_group (keys $groups | sortAlpha | join ", ") .others) -}}
{{- end -}}
{{- $row = get $groups .values.node_group | default dict -}}
{{- else if .values.gpu_instance_type -}}
{{- range $groups -}}{{- if eq .instance_type $.values.gpu_instance_type -}}{{- $row = . -}}{{- end -}}{{- end -}}
{{- if not $row -}}
{{- fail (printf "%sgpu_instance_type: %s is not in the catalogue. Set %snode_group to one of %s, or set %s yourself." .path .values.gpu_instance_type .path (keys $groups | sortAlpha | join ", ") .others) -}}
{{- end -}}
{{- end -}}
{{- toYaml $row -}}
{{- end -}}

{{/* Node selector of a pod (YAML). Argument: dict "node", the node group, "values" with node_selector. */}}
{{- define "mrc.nodeSelector" -}}
{{- toYaml (merge (deepCopy (.values.node_selector | default dict)) (.node.labels | default dict)) -}}
{{- end -}}

{{/* Tolerations for the node group's taints and the user's tolerations, a list. Argument: dict "node", "values". */}}
{{- define "mrc.tolerations" -}}
{{- $tolerations := list -}}
{{- range .node.taints -}}
{{- $tolerations = append $tolerations (dict "key" .key "operator" "Exists" "effect" .effect) -}}
{{- end -}}
{{- toYaml (concat $tolerations (.values.tolerations | default list) | uniq) -}}
{{- end -}}
