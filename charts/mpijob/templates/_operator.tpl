{{/*
Checks, owners, and the names and rights of the MPI Operator. The argument is the root context ("."), unless the
comment says otherwise.
*/}}

{{- define "mpijob.check" -}}
{{- $needed := dict "global" list "namespace" (list "create") "crd" (list "create") "operator" (list "enabled" "image" "image_pull_policy" "replicas" "scope") -}}
{{- include "mrc.checkNulls" (dict "values" .Values "path" "" "names" (keys $needed | sortAlpha)) -}}
{{- range $section, $names := $needed -}}
{{- include "mrc.checkNulls" (dict "values" (get $.Values $section) "path" (printf "%s." $section) "names" $names) -}}
{{- end -}}
{{- end -}}

{{/* The release that an object of the cluster belongs to, as namespace/name; "/": none. Argument: the object. */}}
{{- define "mpijob.owner" -}}
{{- $annotations := dig "metadata" "annotations" dict . -}}
{{- printf "%s/%s" (get $annotations "meta.helm.sh/release-namespace") (get $annotations "meta.helm.sh/release-name") -}}
{{- end -}}

{{- define "mpijob.release" -}}
{{- printf "%s/%s" .Release.Namespace .Release.Name -}}
{{- end -}}

{{/*
Name of the operator's Deployment, service account and rights. A release's name has 53 characters at most, so
nothing is cut.
*/}}
{{- define "mpijob.operatorName" -}}
{{- include "mrc.dnsName" (dict "text" (printf "%s-operator" .Release.Name) "max" 63) -}}
{{- end -}}

{{/* Name of what has no namespace. The colon, which no other name has, keeps any two releases' apart. */}}
{{- define "mpijob.clusterName" -}}
{{- printf "%s:%s" (include "mrc.namespace" .) (include "mpijob.operatorName" .) -}}
{{- end -}}

{{/* "true" when the operator sees the jobs of all namespaces. */}}
{{- define "mpijob.clusterWide" -}}
{{- if eq .Values.operator.scope "cluster" -}}true{{- end -}}
{{- end -}}

{{/*
What the operator does in the namespaces of its jobs, a list of rules. It reads through informers: list and
watch, never get. Upstream's own role has more that its source does not use (pods/exec, endpoints, definitions
of resources) and lacks jobs/status, without which a suspended job cannot resume.
*/}}
{{- define "mpijob.jobRules" -}}
- apiGroups: [kubeflow.org]
  resources: [mpijobs]
  verbs: [list, watch]
- apiGroups: [kubeflow.org]
  resources: [mpijobs/status]
  verbs: [update]
# To make a job the owner of what is created for it, where the API server enforces that right (OpenShift).
- apiGroups: [kubeflow.org]
  resources: [mpijobs/finalizers]
  verbs: [update]
# The hostfile, the ssh key, the workers' host names.
- apiGroups: [""]
  resources: [configmaps, secrets, services]
  verbs: [list, watch, create, update]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, create, delete]
# The launcher.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [list, watch, create, update]
- apiGroups: [batch]
  resources: [jobs/status]
  verbs: [update]
- apiGroups: [""]
  resources: [events]
  verbs: [create, patch]
{{- with .Values.operator.gang_scheduling }}
- apiGroups: [{{ ternary "scheduling.volcano.sh" "scheduling.x-k8s.io" (eq . "volcano") }}]
  resources: [podgroups]
  verbs: [list, watch, create, update, delete]
{{- end }}
{{- end -}}
