{{/*
The MPIJob's spec, with SETTINGS-SHA256 as a placeholder for its own hash. The launcher keeps the hash of the settings
it runs with, even if a rollback, which renders nothing, changes the job's. Argument: the root context.
*/}}
{{- define "maskrcnn.jobSpec" -}}
{{- $m := .Values.maskrcnn -}}
slotsPerWorker: {{ int $m.gpus_per_node }}
sshAuthMountPath: {{ include "maskrcnn.sshPath" . }}
launcherCreationPolicy: WaitForWorkersReady
runPolicy:
  # Workers are removed when the launcher ends; failed pods are kept with their logs.
  cleanPodPolicy: Running
  backoffLimit: {{ int $m.backoff_limit }}
  {{- if not (kindIs "invalid" $m.active_deadline_seconds) }}
  activeDeadlineSeconds: {{ int64 $m.active_deadline_seconds }}
  {{- end }}
  {{- if not (kindIs "invalid" $m.ttl_seconds_after_finished) }}
  ttlSecondsAfterFinished: {{ int64 $m.ttl_seconds_after_finished }}
  {{- end }}
  {{- if $m.suspend }}
  suspend: true
  {{- end }}
  # An operator with a gang scheduler creates a pod group for every job, by default including the launcher. The
  # launcher is created when the workers are ready, so the group counts only the workers, or a single pod.
  schedulingPolicy:
    minAvailable: {{ ternary (include "maskrcnn.workers" .) "1" (eq $m.gang true) }}
    {{- with $m.priority_class }}
    priorityClass: {{ . | quote }}
    {{- end }}
mpiReplicaSpecs:
  Launcher:
    replicas: 1
    restartPolicy: Never
    template:
      {{- include "maskrcnn.podMetadata" (dict "root" . "component" "launcher") | nindent 6 }}
      spec:
        {{- include "maskrcnn.podSpec" . | nindent 8 }}
        {{- with $m.launcher.node_selector }}
        nodeSelector:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with $m.launcher.tolerations }}
        tolerations:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with $m.launcher.affinity }}
        affinity:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- $launcherVolumes := dict "root" . "env_from" $m.env_from }}
        volumes:
          {{- include "maskrcnn.volumes" $launcherVolumes | nindent 10 }}
        containers:
          - name: launcher
            {{- include "maskrcnn.container" . | nindent 12 }}
            command:
              - /bin/bash
              - -c
              - |
                {{- .Files.Get "files/launch.sh" | nindent 16 }}
              - launch
            args:
              {{- include "maskrcnn.launcherArgs" . | nindent 14 }}
            env:
              {{- include "maskrcnn.launcherEnv" . | nindent 14 }}
            {{- with $m.env_from }}
            envFrom:
              {{- toYaml . | nindent 14 }}
            {{- end }}
            volumeMounts:
              {{- include "maskrcnn.volumeMounts" $launcherVolumes | nindent 14 }}
            resources:
              {{- toYaml $m.launcher.resources | nindent 14 }}
  Worker:
    replicas: {{ include "maskrcnn.workers" . }}
    restartPolicy: OnFailure
    template:
      {{- include "maskrcnn.podMetadata" (dict "root" . "component" "worker") | nindent 6 }}
      spec:
        {{- include "maskrcnn.podSpec" . | nindent 8 }}
        {{- with $m.affinity }}
        affinity:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with $m.topology_spread }}
        topologySpreadConstraints:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with include "maskrcnn.nodeSelector" . | fromYaml }}
        nodeSelector:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- with include "maskrcnn.tolerations" . | fromYamlArray }}
        tolerations:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        {{- $volumes := dict "root" . "shm" (include "maskrcnn.shm" .) }}
        volumes:
          {{- include "maskrcnn.volumes" $volumes | nindent 10 }}
        containers:
          - name: worker
            {{- include "maskrcnn.container" . | nindent 12 }}
            command:
              - /bin/bash
              - -c
              - {{ include "maskrcnn.sshdCommand" . | quote }}
            ports:
              - name: ssh
                containerPort: {{ include "maskrcnn.sshPort" . }}
            readinessProbe:
              tcpSocket:
                port: ssh
              periodSeconds: 5
            lifecycle:
              preStop:
                exec:
                  # The ranks save first: sshd ends after Open MPI's daemon.
                  command:
                    - /bin/bash
                    - -c
                    - |
                      {{- .Files.Get "files/stop.sh" | trim | nindent 22 }}
            volumeMounts:
              {{- include "maskrcnn.volumeMounts" $volumes | nindent 14 }}
            resources:
              {{- include "maskrcnn.workerResources" . | nindent 14 }}
{{- end -}}

{{/* Metadata of the pods. Argument: dict "root", "component". */}}
{{- define "maskrcnn.podMetadata" -}}
{{- /* A service mesh's proxy would keep the launcher pod running after its end. */ -}}
{{- $labels := merge (dict "sidecar.istio.io/inject" "false") (.root.Values.maskrcnn.pod_labels | default dict) -}}
{{- /* The loss of a pod costs the job all progress since the last checkpoint. */ -}}
{{- $annotations := dict "karpenter.sh/do-not-disrupt" "true" "cluster-autoscaler.kubernetes.io/safe-to-evict" "false" -}}
{{- if eq .component "launcher" -}}
{{- $_ := set $annotations "mask-rcnn/settings-sha256" "SETTINGS-SHA256" -}}
{{- end -}}
{{- $annotations = merge $annotations (.root.Values.maskrcnn.pod_annotations | default dict) -}}
metadata:
  {{- include "mrc.podMetadata" (merge (dict "labels" $labels "annotations" $annotations) .) | nindent 2 }}
{{- end -}}

{{/* Common part of both pod specs. */}}
{{- define "maskrcnn.podSpec" -}}
automountServiceAccountToken: false
# The variables of all services of the namespace, in which programs find values that were not meant for them.
enableServiceLinks: false
{{- with include "maskrcnn.serviceAccount" . }}
serviceAccountName: {{ . | quote }}
{{- end }}
{{- with .Values.maskrcnn.image_pull_secrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- with .Values.maskrcnn.scheduler_name }}
schedulerName: {{ . | quote }}
{{- end }}
{{- with .Values.maskrcnn.init_containers }}
initContainers:
  {{- toYaml . | nindent 2 }}
{{- end }}
# Time for the last step and its checkpoint.
terminationGracePeriodSeconds: {{ int64 .Values.maskrcnn.termination_grace_period_seconds }}
{{- with .Values.maskrcnn.priority_class }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with include "maskrcnn.podSecurityContext" . | fromYaml }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Common part of both containers. */}}
{{- define "maskrcnn.container" -}}
{{- $m := .Values.maskrcnn -}}
image: {{ required "maskrcnn.image is not set. Set the image of the trainer, for example --set maskrcnn.image=<registry>/<name>:<tag>" $m.image | quote }}
imagePullPolicy: {{ $m.image_pull_policy }}
{{- with $m.working_dir }}
workingDir: {{ . | quote }}
{{- end }}
{{- with include "maskrcnn.containerSecurityContext" . | fromYaml }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
