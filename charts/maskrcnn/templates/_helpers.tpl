{{/*
What every chart of the suite shares. Named templates are global: a parent and its sub-charts see one
another's, and of two with one name the last loaded counts. So whatever starts with "mrc." depends only on
its argument, .Values.global and .Release, and the charts get this one file by link. What belongs to one chart
starts with that chart's name and lies in its own files.

The argument is the root context ("."), unless the comment says otherwise.
*/}}

{{/* Namespace of all objects. */}}
{{- define "mrc.namespace" -}}
{{- /* `helm lint` has no namespace. */ -}}
{{- $namespace := .Values.global.namespace | default .Release.Namespace -}}
{{- if not (has .Release.Namespace (list "" "default" $namespace)) -}}
{{- fail (printf "global.namespace: the release goes to the namespace %s, its objects to %s. Run helm with --namespace %s, or set global.namespace to \"\" to have them in %s." .Release.Namespace $namespace $namespace .Release.Namespace) -}}
{{- end -}}
{{- $namespace -}}
{{- end -}}

{{/*
A text as a name that Kubernetes takes anywhere (DNS-1035: letters, digits and hyphens, a letter first).
Argument: dict "text" and "max", the length; a longer text keeps a hash of what is cut, so that two differ.
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

{{/* Where a chart's values stand: nothing for the chart itself, "jupyter." for the sub-chart jupyter. */}}
{{- define "mrc.valuePath" -}}
{{- if not .Chart.IsRoot -}}{{- .Chart.Name -}}.{{- end -}}
{{- end -}}

{{/*
A null in the user's values takes a default away before the schema is asked. Argument: dict "values", "path"
of them with a dot at its end, "names" of those that need a value.
*/}}
{{- define "mrc.checkNulls" -}}
{{- range .names -}}
{{- if has (get ($.values | default dict) .) (list nil "") -}}
{{- fail (printf "%s%s is null and has to have a value. Set it, or leave it out to have the default." $.path .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels that select the pods of a component, fixed for the life of a release. Argument: dict "root", "component". */}}
{{- define "mrc.selectorLabels" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The labels that Kubernetes recommends, for an object's metadata. Argument: dict "root", "component". */}}
{{- define "mrc.labels" -}}
{{ include "mrc.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: mask-rcnn
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The claim of a file system that nobody named. Argument: "efs" or "fsx". */}}
{{- define "mrc.defaultClaim" -}}
{{- get (dict "efs" "tensorpack-efs-gp-bursting" "fsx" "tensorpack-fsx") . -}}
{{- end -}}

{{/* The claim of the file system of logs and checkpoints. */}}
{{- define "mrc.sharedClaim" -}}
{{- $fs := .Values.global.shared_fs -}}
{{- $claim := .Values.global.shared_pvc | default (include "mrc.defaultClaim" $fs) -}}
{{- range $other := without (list "efs" "fsx") $fs -}}
{{- if eq $claim (include "mrc.defaultClaim" $other) -}}
{{- fail (printf "global.shared_pvc: %s is the claim of %s, and global.shared_fs is %s. Set global.shared_pvc to \"\" or to a claim of %s." $claim $other $fs $fs) -}}
{{- end -}}
{{- end -}}
{{- $claim -}}
{{- end -}}

{{/*
The claim of the data's file system: the shared one when that is the same. Argument: dict "root", "fs", the
data's file system, "claim", its claim if given, "path" of these values with a dot at its end.
*/}}
{{- define "mrc.dataClaim" -}}
{{- $sharedFs := .root.Values.global.shared_fs -}}
{{- $shared := include "mrc.sharedClaim" .root -}}
{{- if eq .fs $sharedFs -}}
{{- if and .claim (ne .claim $shared) -}}
{{- fail (printf "%sdata_pvc: %s and %s are two claims of one file system, %s. Set %sdata_pvc to \"\", or %sdata_fs to the other file system." .path .claim $shared .fs .path .path) -}}
{{- end -}}
{{- $shared -}}
{{- else -}}
{{- $claim := .claim | default (include "mrc.defaultClaim" .fs) -}}
{{- if eq $claim $shared -}}
{{- fail (printf "%sdata_pvc: %s is the claim of %s already (global.shared_pvc), and %sdata_fs is %s. Give each file system its own claim." .path $claim $sharedFs .path .fs) -}}
{{- end -}}
{{- $claim -}}
{{- end -}}
{{- end -}}

{{/*
Row of the node-group catalogue (YAML), an empty one without a node group. Argument: dict "root", "values" with
node_group and gpu_instance_type, "path" of these with a dot at its end, "byHand": the values for other nodes.
*/}}
{{- define "mrc.nodeGroup" -}}
{{- $groups := .root.Files.Get "files/node-groups.yaml" | fromYaml -}}
{{- $row := dict -}}
{{- if .values.node_group -}}
{{- if not (hasKey $groups .values.node_group) -}}
{{- fail (printf "%snode_group: %s is not in the catalogue. Set one of %s, or \"\" and %s by hand." .path .values.node_group (keys $groups | sortAlpha | join ", ") .byHand) -}}
{{- end -}}
{{- $row = get $groups .values.node_group | default dict -}}
{{- else if .values.gpu_instance_type -}}
{{- range $groups -}}{{- if eq .instance_type $.values.gpu_instance_type -}}{{- $row = . -}}{{- end -}}{{- end -}}
{{- if not $row -}}
{{- fail (printf "%sgpu_instance_type: %s is not in the catalogue. Set %snode_group to one of %s, or %s by hand." .path .values.gpu_instance_type .path (keys $groups | sortAlpha | join ", ") .byHand) -}}
{{- end -}}
{{- end -}}
{{- toYaml $row -}}
{{- end -}}

{{/* Labels of a pod's node (YAML). Argument: dict "node", the node group, "values" with node_selector. */}}
{{- define "mrc.nodeSelector" -}}
{{- toYaml (merge (deepCopy (.values.node_selector | default dict)) (.node.labels | default dict)) -}}
{{- end -}}

{{/* Tolerations of the node group's taints, and the user's, a list. Argument: dict "node", "values". */}}
{{- define "mrc.tolerations" -}}
{{- $tolerations := list -}}
{{- range .node.taints -}}
{{- $tolerations = append $tolerations (dict "key" .key "operator" "Exists" "effect" .effect) -}}
{{- end -}}
{{- toYaml (concat $tolerations (.values.tolerations | default list) | uniq) -}}
{{- end -}}

{{/*
A value as text: a text as it is, a number with its own digits (Helm reads 67108864 as 6.7108864e+07), and
booleans, lists and null as Python writes them. Argument: the value.
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

{{/* "true" for true, 1, "1", "True" and the like, else nothing. Argument: the value. */}}
{{- define "mrc.isTrue" -}}
{{- if has (toString . | lower) (list "true" "1") -}}true{{- end -}}
{{- end -}}

{{/*
What follows is for the charts that serve a web page: one Deployment and one Service, beside a training job or
alone. Argument: the root context, and more where the comment says so.

Name of their objects: <release>-<name>; the release's alone where that is the same, which a sub-chart leaves
to its parent's objects. At most 57 characters, so that <name>-token fits a host name's 63.
*/}}
{{- define "mrc.serverName" -}}
{{- $name := .Values.name | default .Chart.Name -}}
{{- $text := printf "%s-%s" .Release.Name $name -}}
{{- if and .Chart.IsRoot (eq .Release.Name $name) -}}{{- $text = $name -}}{{- end -}}
{{- include "mrc.dnsName" (dict "text" $text "max" 57) -}}
{{- end -}}

{{/* The schema leaves global open for parents that share more; of a chart that has none, a name is a typo. */}}
{{- define "mrc.checkGlobal" -}}
{{- $known := list "namespace" "shared_fs" "shared_pvc" "source_cidr" -}}
{{- range keys (.Values.global | default dict) | sortAlpha -}}
{{- if and $.Chart.IsRoot (not (has . $known)) -}}
{{- fail (printf "global.%s: there is no such value. Known here: %s." . (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- end -}}

{{/* Networks that may reach a load balancer, a list. */}}
{{- define "mrc.sourceRanges" -}}
{{- $path := include "mrc.valuePath" . -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" -}}
{{- $v4 := printf "(%s[.]){3}%s/(3[0-2]|[12]?[0-9])" $octet $octet -}}
{{- $v6 := "[0-9A-Fa-f]*:[0-9A-Fa-f.:]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])" -}}
{{- $networks := list -}}
{{- range splitList "," (.Values.global.source_cidr | default "") -}}
{{- $network := trim . -}}
{{- if and $network (not (regexMatch (printf "^(%s|%s)$" $v4 $v6) $network)) -}}
{{- fail (printf "global.source_cidr: %s is not a network. Write networks such as 203.0.113.0/24, with commas between several." $network) -}}
{{- end -}}
{{- if $network -}}{{- $networks = append $networks $network -}}{{- end -}}
{{- end -}}
{{- if not $networks -}}
{{- fail (printf "%sservice.type: a LoadBalancer needs to know who may reach it, and global.source_cidr is empty. Set global.source_cidr to your network, for example 203.0.113.0/24, or %sservice.type to ClusterIP." $path $path) -}}
{{- end -}}
{{- toYaml $networks -}}
{{- end -}}

{{/*
The Service. A load balancer is the AWS Load Balancer Controller's, straight to the pod. Argument: dict "root",
"component", "portName", the name of the container's port.
*/}}
{{- define "mrc.service" -}}
{{- $values := .root.Values -}}
{{- $balanced := eq $values.service.type "LoadBalancer" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "mrc.serverName" .root | quote }}
  namespace: {{ include "mrc.namespace" .root | quote }}
  labels:
    {{- include "mrc.labels" . | nindent 4 }}
  {{- if $balanced }}
  annotations:
    service.beta.kubernetes.io/aws-load-balancer-type: external
    service.beta.kubernetes.io/aws-load-balancer-nlb-target-type: ip
    service.beta.kubernetes.io/aws-load-balancer-scheme: {{ $values.service.scheme }}
  {{- end }}
spec:
  type: {{ $values.service.type }}
  {{- if $balanced }}
  allocateLoadBalancerNodePorts: false
  loadBalancerSourceRanges:
    {{- include "mrc.sourceRanges" .root | nindent 4 }}
  {{- end }}
  selector:
    {{- include "mrc.selectorLabels" . | nindent 4 }}
  ports:
    - name: {{ .portName }}
      port: {{ int $values.port }}
      targetPort: {{ .portName }}
{{- end -}}

{{/* What the pods' specs have in common: nothing that Pod Security "restricted" refuses. */}}
{{- define "mrc.serverPod" -}}
automountServiceAccountToken: false
# Docker's links: a service called jupyter would give JUPYTER_PORT, which Jupyter reads, an address for a value.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ int64 .Values.run_as_user }}
  runAsGroup: {{ int64 .Values.run_as_group }}
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "mrc.serverContainer" -}}
securityContext:
  allowPrivilegeEscalation: false
  capabilities:
    drop: [ALL]
{{- end -}}

{{/* kubectl's port-forward to the service. Argument: dict "root", "port" of this machine. */}}
{{- define "mrc.portForward" -}}
kubectl port-forward --namespace {{ include "mrc.namespace" .root }} service/{{ include "mrc.serverName" .root }} {{ .port }}:{{ int .root.Values.port }}
{{- end -}}
