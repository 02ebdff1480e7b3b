{{/*
Checks, owners, names and permissions of the MPI Operator. The argument is the root context ("."), unless the comment
says otherwise.
*/}}

{{- define "mpijob.check" -}}
{{- include "mrc.checkGlobal" . -}}
{{- $kinds := .Capabilities.APIVersions -}}
{{- if and ($kinds.Has "kubeflow.org/v1/MPIJob") (not ($kinds.Has "kubeflow.org/v2beta1/MPIJob")) -}}
{{- fail "the CRD mpijobs.kubeflow.org of this cluster has version v1, of another operator, and a cluster can have only one of them. To replace it, disable MPIJobs in that operator, run `kubectl delete crd mpijobs.kubeflow.org`, which deletes its MPIJobs, and install this chart again." -}}
{{- end -}}
{{- $needed := dict "global" list "namespace" (list "create") "crd" (list "create") "operator" (list "enabled" "image" "image_pull_policy" "replicas" "scope") -}}
{{- include "mrc.checkNulls" (dict "values" .Values "path" "" "names" (keys $needed | sortAlpha)) -}}
{{- range $section, $names := $needed -}}
{{- include "mrc.checkNulls" (dict "values" (get $.Values $section) "path" (printf "%s." $section) "names" $names) -}}
{{- end -}}
{{- end -}}

{{/* Annotations of objects that must outlive the release: for Helm, Argo CD and Flux. */}}
{{- define "mpijob.keep" -}}
helm.sh/resource-policy: keep
argocd.argoproj.io/sync-options: Prune=false,Delete=false
kustomize.toolkit.fluxcd.io/prune: disabled
{{- end -}}

{{/* The release that owns an object of the cluster, as namespace/name, or "/". Argument: the object. */}}
{{- define "mpijob.owner" -}}
{{- $annotations := dig "metadata" "annotations" dict . -}}
{{- printf "%s/%s" (get $annotations "meta.helm.sh/release-namespace") (get $annotations "meta.helm.sh/release-name") -}}
{{- end -}}

{{- define "mpijob.release" -}}
{{- printf "%s/%s" .Release.Namespace .Release.Name -}}
{{- end -}}

{{/*
Name of the operator's Deployment, service account and roles. A release's name has at most 53 characters, so it is never
shortened.
*/}}
{{- define "mpijob.operatorName" -}}
{{- include "mrc.dnsName" (dict "text" (printf "%s-operator" .Release.Name) "max" 63) -}}
{{- end -}}

{{/* Name of cluster-scoped objects. The colon, which no other name contains, keeps those of two releases apart. */}}
{{- define "mpijob.clusterName" -}}
{{- printf "%s:%s" (include "mrc.namespace" .) (include "mpijob.operatorName" .) -}}
{{- end -}}

{{/* "true" if the operator manages the jobs of all namespaces. */}}
{{- define "mpijob.clusterWide" -}}
{{- if eq .Values.operator.scope "cluster" -}}true{{- end -}}
{{- end -}}

{{/*
Permissions of the operator in the namespaces of its jobs, a list of rules. It reads through informers: list and watch,
never get. Upstream's role includes permissions that its source does not use (pods/exec, endpoints, CRDs) and lacks
jobs/status, without which a suspended job cannot resume.
*/}}
{{- define "mpijob.jobRules" -}}
- apiGroups: [kubeflow.org]
  resources: [mpijobs]
  verbs: [list, watch]
- apiGroups: [kubeflow.org]
  resources: [mpijobs/status]
  verbs: [update]
# To set a job as the owner of its objects, where the API server enforces that permission (OpenShift).
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
