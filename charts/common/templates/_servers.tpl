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

{{/*
Networks that may connect to a load balancer or an Ingress, a list. Argument: dict "root", "setting", the value that
requires them, as the sentence of an error message starts, "private", the value to set for no access from outside.
*/}}
{{- define "mrc.sourceRanges" -}}
{{- $octet := "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])" -}}
{{- $v4 := printf "(%s[.]){3}%s/(3[0-2]|[12]?[0-9])" $octet $octet -}}
{{- $v6 := "[0-9A-Fa-f]*:[0-9A-Fa-f.:]*/(12[0-8]|1[01][0-9]|[1-9]?[0-9])" -}}
{{- $networks := list -}}
{{- range splitList "," (.root.Values.global.source_cidr | default "") -}}
{{- $network := trim . -}}
{{- if and $network (not (regexMatch (printf "^(%s|%s)$" $v4 $v6) $network)) -}}
{{- fail (printf "global.source_cidr: %s is not a network. Write it as 203.0.113.0/24, and separate several networks by commas." $network) -}}
{{- end -}}
{{- if $network -}}{{- $networks = append $networks $network -}}{{- end -}}
{{- end -}}
{{- if not $networks -}}
{{- fail (printf "%s requires global.source_cidr, which is empty. Set it to the networks that may connect, for example 203.0.113.0/24, or %s." .setting .private) -}}
{{- end -}}
{{- range $networks -}}
{{- $shortest := ternary 16 8 (contains ":" .) -}}
{{- if and (lt (splitList "/" . | last | int) $shortest) (ne (lower .) "fc00::/7") (ne $.root.Values.global.allow_public true) -}}
{{- fail (printf "global.source_cidr: %s is a public network. Set it to the addresses of your office or VPN, or set global.allow_public to true." .) -}}
{{- end -}}
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
  {{- $annotations := $values.service.annotations | default dict }}
  {{- if $balanced }}
  {{- $annotations = merge (deepCopy $annotations) (dict
    "service.beta.kubernetes.io/aws-load-balancer-type" "external"
    "service.beta.kubernetes.io/aws-load-balancer-nlb-target-type" "ip"
    "service.beta.kubernetes.io/aws-load-balancer-scheme" $values.service.scheme
  ) }}
  {{- end }}
  {{- include "mrc.metadata" (merge (dict "annotations" $annotations) .) | nindent 2 }}
spec:
  type: {{ $values.service.type }}
  {{- if $balanced }}
  allocateLoadBalancerNodePorts: false
  loadBalancerSourceRanges:
    {{- $path := include "mrc.valuePath" .root }}
    {{- $ranges := dict "setting" (printf "%sservice.type: a LoadBalancer" $path) "private" (printf "%sservice.type to ClusterIP" $path) }}
    {{- include "mrc.sourceRanges" (merge $ranges .) | nindent 4 }}
  {{- end }}
  selector:
    {{- include "mrc.selectorLabels" . | nindent 4 }}
  ports:
    - name: {{ .portName }}
      port: {{ int $values.port }}
      targetPort: {{ .portName }}
{{- end -}}

{{/*
The Ingress to this service, if enabled. Controllers of AWS and of NGINX limit it to the networks of global.source_cidr.
Argument: dict "root", "component", "portName", "annotations", further ones of this chart (optional).
*/}}
{{- define "mrc.ingress" -}}
{{- $ingress := .root.Values.ingress -}}
{{- if $ingress.enabled -}}
{{- $path := include "mrc.valuePath" .root -}}
{{- $ranges := dict "root" .root "setting" (printf "%singress.enabled: an Ingress" $path) "private" (printf "%singress.enabled to false" $path) -}}
{{- $networks := include "mrc.sourceRanges" $ranges | fromYamlArray | join "," -}}
{{- $annotations := merge (deepCopy ($ingress.annotations | default dict)) (.annotations | default dict) (dict
  "alb.ingress.kubernetes.io/target-type" "ip"
  "alb.ingress.kubernetes.io/scheme" .root.Values.service.scheme
  "alb.ingress.kubernetes.io/inbound-cidrs" $networks
  "nginx.ingress.kubernetes.io/whitelist-source-range" $networks
) -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "mrc.serverName" .root | quote }}
  namespace: {{ include "mrc.namespace" .root | quote }}
  {{- include "mrc.metadata" (merge (dict "annotations" $annotations) .) | nindent 2 }}
spec:
  {{- with $ingress.class_name }}
  ingressClassName: {{ . | quote }}
  {{- end }}
  {{- with $ingress.tls_secret }}
  tls:
    - secretName: {{ . | quote }}
      {{- with $ingress.hosts }}
      hosts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- end }}
  rules:
    {{- range $ingress.hosts | default (list "") }}
    - {{ with . }}host: {{ . | quote }}
      {{ end }}http:
        paths:
          - path: /
            pathType: Prefix
            backend:
              service:
                name: {{ include "mrc.serverName" $.root | quote }}
                port:
                  name: {{ $.portName }}
    {{- end }}
{{- end -}}
{{- end -}}

{{/*
The NetworkPolicy of the server's pod, if enabled: its port can be reached from the user's peers, and with a load
balancer or an Ingress from the networks of global.source_cidr. Argument: dict "root", "component", "portName".
*/}}
{{- define "mrc.networkPolicy" -}}
{{- $values := .root.Values -}}
{{- if $values.network_policy -}}
{{- $peers := $values.network_peers | default list -}}
{{- if or $values.ingress.enabled (eq $values.service.type "LoadBalancer") -}}
{{- range splitList "," ($values.global.source_cidr | default "") -}}
{{- with trim . -}}{{- $peers = append $peers (dict "ipBlock" (dict "cidr" .)) -}}{{- end -}}
{{- end -}}
{{- end -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "mrc.serverName" .root | quote }}
  namespace: {{ include "mrc.namespace" .root | quote }}
  {{- include "mrc.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "mrc.selectorLabels" . | nindent 6 }}
  policyTypes: [Ingress]
  {{- /* A rule with an empty list of peers would allow all of them. */}}
  {{- if $peers }}
  ingress:
    - from:
        {{- toYaml $peers | nindent 8 }}
      ports:
        - port: {{ .portName }}
  {{- else }}
  ingress: []
  {{- end }}
{{- end -}}
{{- end -}}

{{/*
The token in a Secret of the chart (YAML, an entry of its data): that of the previous install, or a new one. Argument:
dict "root", "name", the Secret's.
*/}}
{{- define "mrc.newToken" -}}
{{- $secret := lookup "v1" "Secret" (include "mrc.namespace" .root) .name | default dict -}}
{{- $kept := dig "data" "token" "" $secret -}}
token: {{ $kept | default (randAlphaNum 40 | b64enc) }}
{{- end -}}

{{/*
A string that changes whenever a Secret of the user's does. It does not depend on the content, since a short token could
be guessed from a hash. Argument: dict "root", "name".
*/}}
{{- define "mrc.secretVersion" -}}
{{- $secret := lookup "v1" "Secret" (include "mrc.namespace" .root) .name | default dict -}}
{{ .name }} {{ dig "metadata" "uid" "" $secret }} {{ dig "metadata" "resourceVersion" "" $secret }}
{{- end -}}

{{/* The command that prints a token. Argument: dict "root", "name", the Secret's. */}}
{{- define "mrc.printToken" -}}
kubectl get secret --namespace {{ include "mrc.namespace" .root }} {{ .name }} --output jsonpath='{.data.token}' | base64 --decode; echo
{{- end -}}

{{/* Common part of the pod specs. It complies with the Pod Security level "restricted". */}}
{{- define "mrc.serverPod" -}}
automountServiceAccountToken: false
{{- with .Values.image_pull_secrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
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
