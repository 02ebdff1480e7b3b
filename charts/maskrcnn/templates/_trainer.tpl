{{/*
The launcher's command: environment, mpirun's flags and the trainer's settings. The argument is the root context
("."); the result of templates that return YAML is parsed with fromYaml or fromYamlArray.
*/}}

{{/* "true" with mixed precision; tp_16 is the former name of fp16. */}}
{{- define "maskrcnn.fp16" -}}
{{- $m := .Values.maskrcnn -}}
{{- include "mrc.isTrue" (ternary $m.tp_16 $m.fp16 (has $m.fp16 (list nil ""))) -}}
{{- end -}}

{{/* Communication settings and the user's environment (YAML, name: string or valueFrom). */}}
{{- define "maskrcnn.environment" -}}
{{- $m := .Values.maskrcnn -}}
{{- $node := include "maskrcnn.node" . | fromYaml -}}
{{- $environment := merge (deepCopy ($node.env | default dict)) (dict "HOROVOD_FUSION_THRESHOLD" "67108864" "HOROVOD_CYCLE_TIME" "0.5") -}}
{{- if include "maskrcnn.efa" . | int -}}
{{- $_ := set $environment "FI_PROVIDER" "efa" -}}
{{- $_ := set $environment "FI_EFA_FORK_SAFE" "1" -}}
{{- if $node.efa_rdma -}}{{- $_ := set $environment "FI_EFA_USE_DEVICE_RDMA" "1" -}}{{- end -}}
{{- end -}}
{{- if eq $m.device "cpu" -}}
{{- /* As mrc_train/cpu_environment.py, for the trainers of other images as well. */ -}}
{{- $environment = dict
  "OMPI_MCA_mpi_yield_when_idle" "1" "HOROVOD_FUSION_THRESHOLD" "4194304" "HOROVOD_CYCLE_TIME" "10"
  "TF_ENABLE_ONEDNN_OPTS" "1" "CUDA_VISIBLE_DEVICES" "-1"
-}}
{{- end -}}
{{- if include "maskrcnn.fp16" . -}}{{- $_ := set $environment "TENSORPACK_FP16" "1" -}}{{- end -}}
{{- if include "mrc.isTrue" $m.xla -}}{{- $_ := set $environment "TF_XLA_FLAGS" "--tf_xla_auto_jit=2" -}}{{- end -}}
{{- $settings := dict
  "HOROVOD_CYCLE_TIME" $m.horovod_cycle_time
  "HOROVOD_FUSION_THRESHOLD" $m.horovod_fusion_threshold
  "HOROVOD_AUTOTUNE" $m.horovod_autotune
  "HOROVOD_LOG_LEVEL" $m.horovod_log_level
  "NCCL_SOCKET_IFNAME" $m.nccl_socket_ifname
  "NCCL_MIN_NRINGS" $m.nccl_min_rings
  "NCCL_DEBUG" $m.nccl_debug
  "FI_PROVIDER" $m.fi_provider
  "FI_EFA_FORK_SAFE" $m.fi_efa_fork_safe
  "FI_EFA_USE_DEVICE_RDMA" $m.fi_efa_use_device_rdma
  "TF_DEVICE_MIN_SYS_MEMORY_IN_MB" $m.tf_device_min_sys_mem_mb
  "TF_ENABLE_AUTO_MIXED_PRECISION" $m.tf_enable_auto_mixed_precision
-}}
{{- range $name, $value := $settings -}}
{{- /* Horovod requires 1 or 0 for booleans. */ -}}
{{- if has (toString $value | lower) (list "true" "false") -}}{{- $value = ternary "1" "0" (eq (include "mrc.isTrue" $value) "true") -}}{{- end -}}
{{- if not (has $value (list nil "")) -}}{{- $_ := set $environment $name (include "mrc.literal" $value) -}}{{- end -}}
{{- end -}}
{{- range $name, $value := $m.env -}}
{{- if has $name (list "SHARED_FS" "DATA_FS" "RUN_DIR" "SSH_OPTIONS") -}}
{{- fail (printf "maskrcnn.env: %s is set by the chart. Remove it; global.shared_fs and maskrcnn.data_fs select the file systems." $name) -}}
{{- end -}}
{{- if kindIs "invalid" $value -}}{{- $_ := unset $environment $name -}}
{{- else if kindIs "map" $value -}}{{- $_ := set $environment $name $value -}}
{{- else -}}{{- $_ := set $environment $name (include "mrc.literal" $value) -}}
{{- end -}}
{{- end -}}
{{- toYaml $environment -}}
{{- end -}}

{{/*
Environment of the launcher, a list. Variables that others refer to as $(NAME) come first, since Kubernetes
expands only names that are defined earlier.
*/}}
{{- define "maskrcnn.launcherEnv" -}}
- name: SHARED_FS
  value: /{{ .Values.global.shared_fs }}
- name: DATA_FS
  value: /{{ include "maskrcnn.dataFs" . }}
- name: RUN_DIR
  value: {{ include "maskrcnn.runDir" . | quote }}
- name: SSH_OPTIONS
  value: {{ include "maskrcnn.sshOptions" . | quote }}
{{- range $name, $value := include "maskrcnn.environment" . | fromYaml }}
- name: {{ $name | quote }}
{{- if kindIs "map" $value }}
{{ toYaml $value | indent 2 }}
{{- else }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* A path on the data's file system, as an argument that Kubernetes expands. Argument: the path. */}}
{{- define "maskrcnn.dataPath" -}}
{{- printf "$(DATA_FS)/%s" (. | default "") | trimSuffix "/" -}}
{{- end -}}

{{/* Directory of the data set. */}}
{{- define "maskrcnn.dataDir" -}}
{{- include "maskrcnn.dataPath" .Values.maskrcnn.data_dir -}}
{{- end -}}

{{/* File of the backbone's weights; empty without one. */}}
{{- define "maskrcnn.weights" -}}
{{- with .Values.maskrcnn.backbone_weights -}}{{- include "maskrcnn.dataPath" . -}}{{- end -}}
{{- end -}}

{{/* Rows of files/common/trainer-settings.yaml, a list. */}}
{{- define "maskrcnn.trainerSettings" -}}
{{- .Files.Get "files/common/trainer-settings.yaml" -}}
{{- end -}}

{{/*
KEY=VALUE of every setting with a value, a list: those of the table, then extra_config. Of two for one key the
trainer uses the last.
*/}}
{{- define "maskrcnn.settings" -}}
{{- $m := .Values.maskrcnn -}}
{{- $settings := list -}}
{{- range include "maskrcnn.trainerSettings" . | fromYamlArray -}}
{{- $value := .constant | default (get $m (.value | default "")) -}}
{{- $given := or .always (not (has $value (list nil ""))) -}}
{{- if and $given (not (and .script_flag $m.train_script)) -}}
{{- if .path -}}{{- $value = include "maskrcnn.dataPath" $value -}}{{- end -}}
{{- $settings = append $settings (printf "%s=%s" .key (include "mrc.literal" $value)) -}}
{{- end -}}
{{- end -}}
{{- $extra := $m.extra_config | default list -}}
{{- if kindIs "string" $extra -}}
{{- /* Values may contain spaces, as in "A.B=[1, 2] C=3", so a setting starts where a key does. */ -}}
{{- $extra = regexReplaceAll `\s+([A-Z][A-Z0-9_.]*=)` $extra "\n$1" | splitList "\n" -}}
{{- end -}}
{{- range $extra -}}{{- with trim . -}}{{- $settings = append $settings . -}}{{- end -}}{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{/* Arguments of the launcher, a list: mpirun, its flags, the trainer and its settings. */}}
{{- define "maskrcnn.launcherArgs" -}}
{{- $m := .Values.maskrcnn -}}
{{- $run := include "maskrcnn.runDir" . -}}
{{- $args := list "mpirun" "-np" (printf "%d" (int $m.gpus)) "--allow-run-as-root" "--bind-to" "none" "--tag-output" "--output-filename" (printf "%s/ranks" $run) "--mca" "btl" "^openib" "--mca" "pml" "ob1" -}}
{{- with $m.if_exclude -}}{{- $args = concat $args (list "--mca" "btl_tcp_if_exclude" .) -}}{{- end -}}
{{- $args = concat $args (list "--mca" "plm_rsh_args" "$(SSH_OPTIONS)") -}}
{{- range concat (list "PATH" "LD_LIBRARY_PATH" "SHARED_FS" "DATA_FS") (include "maskrcnn.environment" . | fromYaml | keys | sortAlpha) -}}
{{- /* mpirun exports its own parameters itself. */ -}}
{{- if not (hasPrefix "OMPI_MCA_" .) -}}{{- $args = concat $args (list "-x" .) -}}{{- end -}}
{{- end -}}
{{- range $m.mpirun_args -}}{{- $args = append $args (include "mrc.literal" .) -}}{{- end -}}
{{- if $m.train_script -}}
{{- $args = concat $args (list "python3" $m.train_script) -}}
{{- else -}}
{{- $args = append $args "mrc-train" -}}
{{- end -}}
{{- $args = concat $args (list "--logdir" $run) -}}
{{- if include "maskrcnn.fp16" . -}}{{- $args = append $args "--fp16" -}}{{- end -}}
{{- if $m.train_script -}}
{{- range include "maskrcnn.trainerSettings" . | fromYamlArray -}}
{{- if and .script_flag (get $m .value) -}}
{{- $args = concat $args (list .script_flag (include "mrc.literal" (get $m .value))) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $args (list "--config") (include "maskrcnn.settings" . | fromYamlArray)) -}}
{{- end -}}
