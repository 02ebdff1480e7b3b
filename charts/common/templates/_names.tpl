{{/*
Names and labels. The helpers in this directory are shared by all charts of the suite through a link,
templates/common. Named templates are global: a parent chart and its sub-charts see one another's, and of two
with the same name the one loaded last wins. Helpers whose name starts with "mrc." therefore depend only on their
argument, .Values.global, .Release, .Chart and .Files. A helper of a single chart starts with that chart's name and
is defined in that chart.

The argument is the root context ("."), unless the comment says otherwise.
*/}}

{{/* Namespace of all objects. */}}
{{- define "mrc.namespace" -}}
{{- /* `helm lint` has no namespace. */ -}}
{{- $namespace := .Values.global.namespace | default .Release.Namespace -}}
{{- if not (has .Release.Namespace (list "" "default" $namespace)) -}}
{{- fail (printf "global.namespace: the release is in namespace %s, but its objects are in %s. Run helm with --namespace %s, or set global.namespace to \"\" to create them in %s." .Release.Namespace $namespace $namespace .Release.Namespace) -}}
{{- end -}}
{{- $namespace -}}
{{- end -}}

{{/*
A string converted to a name that is valid for every Kubernetes object (DNS-1035: letters, digits and hyphens, a letter
first). Argument: dict "text", "max", the length. Longer strings are shortened and end with a hash, so that they stay
distinct.
*/}}
{{- define "mrc.dnsName" -}}
{{- $text := .text | lower | replace "." "-" | replace "_" "-" -}}
{{- if not (regexMatch "^[a-z]" $text) -}}{{- $text = printf "m-%s" $text -}}{{- end -}}
{{- if gt (len $text) (int .max) -}}
{{- printf "%s-%s" (trunc (int (sub .max 9)) $text | trimAll "-") (sha256sum .text | trunc 8) -}}
{{- else -}}
{{- trimAll "-" $text -}}
{{- end -}}
{{- end -}}

{{/* Prefix of a chart's values: empty for the chart itself, "jupyter." for the sub-chart jupyter. */}}
{{- define "mrc.valuePath" -}}
{{- if not .Chart.IsRoot -}}{{- .Chart.Name -}}.{{- end -}}
{{- end -}}

{{/* Labels that select the pods of a component and never change within a release. Argument: dict "root", "component". */}}
{{- define "mrc.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/*
Labels and annotations of an object, for its metadata: the user's common ones, which give way to those of the chart, and
the labels that Kubernetes recommends. Argument: dict "root", "component", "labels" and "annotations" (both optional, of
this object).
*/}}
{{- define "mrc.metadata" -}}
{{- $labels := merge (include "mrc.labels" . | fromYaml) (.labels | default dict) (.root.Values.global.common_labels | default dict) -}}
{{- $annotations := merge dict (.annotations | default dict) (.root.Values.global.common_annotations | default dict) -}}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
The same for a pod template: only the labels that its owner selects pods by, and those of the user. Argument: dict
"root", "component", "labels" and "annotations" (both optional, of this pod).
*/}}
{{- define "mrc.podMetadata" -}}
{{- $labels := merge (include "mrc.selectorLabels" . | fromYaml) (.labels | default dict) (.root.Values.global.common_labels | default dict) -}}
{{- $annotations := merge dict (.annotations | default dict) (.root.Values.global.common_annotations | default dict) -}}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "mrc.labels" -}}
{{ include "mrc.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mask-rcnn
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}
