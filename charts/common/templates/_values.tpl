{{/* Checking values and converting them to text. */}}

{{/*
A null in the user's values removes the default before Helm checks the schema. Argument: dict "values", "path", their
prefix with a trailing dot, "names", the values that are required.
*/}}
{{- define "mrc.checkNulls" -}}
{{- range .names -}}
{{- if has (get ($.values | default dict) .) (list nil "") -}}
{{- fail (printf "%s%s is null but requires a value. Set it, or remove it to use the default." $.path .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
A value as a string. Strings are unchanged, numbers keep their digits (Helm parses 67108864 as 6.7108864e+07), and
booleans, lists and null are Python literals. Argument: the value.
*/}}
{{- define "mrc.literal" -}}
{{- if kindIs "string" . -}}{{- trim . -}}{{- else -}}{{- include "mrc.pythonLiteral" . -}}{{- end -}}
{{- end -}}

{{- define "mrc.pythonLiteral" -}}
{{- if kindIs "bool" . -}}{{- ternary "True" "False" . -}}
{{- else if kindIs "invalid" . -}}None
{{- else if kindIs "slice" . -}}
{{- $items := list -}}
{{- range . -}}{{- $items = append $items (include "mrc.pythonLiteral" .) -}}{{- end -}}
{{- printf "[%s]" (join ", " $items) -}}
{{- else -}}{{- toRawJson . -}}
{{- end -}}
{{- end -}}

{{/* "true" for true, 1, "1" and "True" in any case, otherwise empty. Argument: the value. */}}
{{- define "mrc.isTrue" -}}
{{- if has (toString . | lower) (list "true" "1") -}}true{{- end -}}
{{- end -}}

{{/* The schema allows any value in global, since a parent chart may add its own. Without a parent, it is a typo. */}}
{{- define "mrc.checkGlobal" -}}
{{- $known := list "namespace" "shared_fs" "shared_pvc" "source_cidr" "allow_public" "common_labels" "common_annotations" -}}
{{- range keys (.Values.global | default dict) | sortAlpha -}}
{{- if and $.Chart.IsRoot (not (has . $known)) -}}
{{- fail (printf "global.%s: unknown value. Known values: %s." . (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
