{{/*
Schema of an MPIJob v2beta1: every field of the operator's API, with the values that the operator accepts. It
tells of a job with others only by an event, and leaves it lying. Pod templates are checked here as far as a
wrong one would fail only when the pods are created, one by one; their other fields are the API server's.
*/}}
{{- define "mpijob.schema" -}}
description: A job of processes that speak MPI, a launcher and its workers.
type: object
required: [spec]
x-kubernetes-validations:
  - message: "metadata.name: <name>-worker-<n> has to be a host name: lower-case letters, digits and hyphens, a letter first, at most 63 characters"
    rule: >-
      self.metadata.name.matches('^[a-z][-a-z0-9]*$') && size(self.metadata.name) + size('-worker-') + size(string(
      has(self.spec.mpiReplicaSpecs.Worker) && has(self.spec.mpiReplicaSpecs.Worker.replicas)
      ? self.spec.mpiReplicaSpecs.Worker.replicas - 1 : 0)) <= 63
properties:
  apiVersion:
    type: string
  kind:
    type: string
  metadata:
    type: object
  spec:
    type: object
    required: [mpiReplicaSpecs]
    properties:
      slotsPerWorker:
        description: Processes that a worker takes, for the hostfile.
        type: integer
        format: int32
        minimum: 0
        default: 1
      runLauncherAsWorker:
        description: Whether the launcher takes processes as well.
        type: boolean
        default: false
      sshAuthMountPath:
        description: Directory of the ssh key in the pods.
        type: string
        minLength: 1
        default: /root/.ssh
      launcherCreationPolicy:
        description: Whether the launcher is created at once or when all workers are ready.
        type: string
        enum: [AtStartup, WaitForWorkersReady]
        default: AtStartup
      mpiImplementation:
        type: string
        enum: [OpenMPI, Intel, MPICH]
        default: OpenMPI
      runPolicy:
        type: object
        properties:
          cleanPodPolicy:
            description: Which worker pods are deleted when the launcher has ended; None by default.
            type: string
            enum: [None, Running, All]
          ttlSecondsAfterFinished:
            description: Seconds after the end at which the launcher's Job is deleted.
            type: integer
            format: int32
            minimum: 0
          activeDeadlineSeconds:
            description: Seconds after which the launcher is ended.
            type: integer
            format: int64
            minimum: 0
          backoffLimit:
            description: How often a failed launcher is started again.
            type: integer
            format: int32
            minimum: 0
          suspend:
            description: Whether the job waits, without pods.
            type: boolean
            default: false
          managedBy:
            description: Who runs the job.
            type: string
            enum: [kubeflow.org/mpi-operator, kueue.x-k8s.io/multikueue]
          schedulingPolicy:
            description: The pod group, with an operator that has a gang scheduler.
            type: object
            properties:
              minAvailable:
                description: Pods that are scheduled at once or not at all.
                type: integer
                format: int32
              queue:
                description: Queue of Volcano.
                type: string
              priorityClass:
                type: string
              scheduleTimeoutSeconds:
                type: integer
                format: int32
              minResources:
                type: object
                additionalProperties:
                  x-kubernetes-int-or-string: true
      mpiReplicaSpecs:
        type: object
        required: [Launcher]
        properties:
          Launcher:
            {{- include "mpijob.replicaSchema" (dict "maximum" 1) | nindent 12 }}
          Worker:
            {{- include "mpijob.replicaSchema" (dict) | nindent 12 }}
  status:
    type: object
    properties:
      conditions:
        type: array
        x-kubernetes-list-type: map
        x-kubernetes-list-map-keys: [type]
        items:
          type: object
          required: [type, status]
          properties:
            type:
              description: Created, Running, Restarting, Succeeded, Suspended or Failed.
              type: string
            status:
              type: string
              enum: ["True", "False", Unknown]
            reason:
              type: string
            message:
              type: string
            lastUpdateTime:
              type: string
              format: date-time
            lastTransitionTime:
              type: string
              format: date-time
      replicaStatuses:
        type: object
        additionalProperties:
          type: object
          properties:
            active:
              type: integer
              format: int32
            succeeded:
              type: integer
              format: int32
            failed:
              type: integer
              format: int32
            selector:
              type: string
            labelSelector:
              type: object
              x-kubernetes-preserve-unknown-fields: true
      startTime:
        type: string
        format: date-time
      completionTime:
        type: string
        format: date-time
      lastReconcileTime:
        type: string
        format: date-time
{{- end -}}

{{/* Schema of the launcher or the workers. Argument: dict "maximum", the most replicas, if there is one. */}}
{{- define "mpijob.replicaSchema" -}}
type: object
required: [template]
properties:
  replicas:
    type: integer
    format: int32
    minimum: 1
    {{- with .maximum }}
    maximum: {{ . }}
    {{- end }}
  restartPolicy:
    description: Takes the place of the template's.
    type: string
    enum: [Never, OnFailure]
  template:
    description: A PodTemplateSpec.
    type: object
    required: [spec]
    properties:
      metadata:
        type: object
        x-kubernetes-preserve-unknown-fields: true
        properties:
          labels:
            type: object
            additionalProperties:
              type: string
          annotations:
            type: object
            additionalProperties:
              type: string
      spec:
        type: object
        required: [containers]
        x-kubernetes-preserve-unknown-fields: true
        properties:
          containers:
            description: The first one runs MPI and gets the ssh key.
            minItems: 1
            {{- include "mpijob.containersSchema" . | nindent 12 }}
          initContainers:
            {{- include "mpijob.containersSchema" . | nindent 12 }}
          volumes:
            {{- include "mpijob.listSchema" "name" | nindent 12 }}
{{- end -}}

{{/* Schema of a list of containers, up to the fields in which a list may have nothing twice. */}}
{{- define "mpijob.containersSchema" -}}
{{- include "mpijob.listSchema" "name" }}
    env:
      {{- include "mpijob.listSchema" "name" | nindent 6 }}
    volumeMounts:
      {{- include "mpijob.listSchema" "mountPath" | nindent 6 }}
{{- end -}}

{{/* Schema of a list of objects that differ in one field. Argument: the field. */}}
{{- define "mpijob.listSchema" -}}
type: array
x-kubernetes-list-type: map
x-kubernetes-list-map-keys: [{{ . }}]
items:
  type: object
  required: [{{ . }}]
  x-kubernetes-preserve-unknown-fields: true
  properties:
    {{ . }}:
      type: string
{{- end -}}
