{{/*
Charts that serve a web page: one Deployment and one Service, as a sub-chart of a training job or installed alone.
The argument is the root context ("."), unless the comment says otherwise.
*/}}

{{/*
Name of their objects: <release>-<name>. A chart installed alone uses only the release's name if the two are the same;
for a sub-chart, that name belongs to its parent. At most 57 characters, so that <name>-token has at most 63.
*/}}
{{- define "mrc.serverName" -}}
{{- $name := .Values.name | default .Chart.Name -}}
{{- $text := printf "%s-%s" .Release.Name $name -}}
{{- if and .Chart.IsRoot (eq .Release.Name $name) -}}{{- $text = $name -}}{{- end -}}
{{- include "mrc.dnsName" (dict "text" $text "max" 57) -}}
{{- end -}}

{{/* Networks that may connect to a load balancer, a list. */}}
{{- define "mrc.sourceRanges" -}}
{{- $path := include "mrc.valuePath" . -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" -}}
{{- $v4 := printf "(%s[.]){3}%s/(3[0-2]|[12]?[0-9])" $octet $octet -}}
{{- $v6 := "[0-9A-Fa-f]*:[0-9A-Fa-f.:]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])" -}}
{{- $networks := list -}}
{{- range splitList "," (.Values.global.source_cidr | default "") -}}
{{- $network := trim . -}}
{{- if and $network (not (regexMatch (printf "^(%s|%s)$" $v4 $v6) $network)) -}}
{{- fail (printf "global.source_cidr: %s is not a network. Write it as 203.0.113.0/24, and separate several networks by commas." $network) -}}
{{- end -}}
{{- if $network -}}{{- $networks = append $networks $network -}}{{- end -}}
{{- end -}}
{{- if not $networks -}}
{{- fail (printf "%sservice.type: a LoadBalancer requires global.source_cidr, which is empty. Set it to the networks that may connect, for example 203.0.113.0/24, or %sservice.type to ClusterIP." $path $path) -}}
{{- end -}}
{{- toYaml $networks -}}
{{- end -}}

{{/*
The Service. A load balancer is managed by the AWS Load Balancer Controller and targets the pod's IP address. Argument:
dict "root", "component", "portName", the name of the container's port.
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

{{/* Common part of the pod specs. It complies with the Pod Security level "restricted". */}}
{{- define "mrc.serverPod" -}}
automountServiceAccountToken: false
# A service called jupyter would set JUPYTER_PORT, which Jupyter reads, to an address.
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

{{/* The kubectl port-forward command for the service. Argument: dict "root", "port", the local port. */}}
{{- define "mrc.portForward" -}}
kubectl port-forward --namespace {{ include "mrc.namespace" .root }} service/{{ include "mrc.serverName" .root }} {{ .port }}:{{ int .root.Values.port }}
{{- end -}}
