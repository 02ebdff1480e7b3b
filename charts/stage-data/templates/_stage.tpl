{{/* Helpers of the stage-data chart. The argument is the root context ("."). */}}

{{/* Name of the job and of what belongs to it. At most 57 characters: a pod's name has six more. */}}
{{- define "stage.name" -}}
{{- include "mrc.dnsName" (dict "text" (.Values.name | default .Release.Name) "max" 57) -}}
{{- end -}}

{{- define "stage.serviceAccount" -}}
{{- .Values.service_account.name | default (ternary (include "stage.name" .) "default" .Values.service_account.create) -}}
{{- end -}}

{{/* The directory, as an argument that Kubernetes expands. */}}
{{- define "stage.directory" -}}
$(SHARED_FS)/{{ .Values.data_dir | trimSuffix "/" }}
{{- end -}}

{{- define "stage.check" -}}
{{- $path := include "mrc.valuePath" . -}}
{{- include "mrc.checkGlobal" . -}}
{{- include "mrc.checkNulls" (dict "values" .Values.global "path" "global." "names" (list "shared_fs")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values "path" $path "names" (list "data_dir" "shards" "image_pull_policy" "service_account" "backoff_limit" "claim" "run_as_user" "run_as_group")) -}}
{{- if has ".." (splitList "/" .Values.data_dir) -}}
{{- fail (printf "%sdata_dir: %s leaves the file system. Remove the dots." $path .Values.data_dir) -}}
{{- end -}}
{{- if and .Values.own_folder (eq (int .Values.run_as_user) 0) -}}
{{- fail (printf "%sown_folder: root needs none. Set %srun_as_user, or own_folder to false." $path $path) -}}
{{- end -}}
{{- $claim := .Values.claim -}}
{{- if $claim.create -}}
{{- if eq (empty $claim.volume_handle) (empty $claim.storage_class) -}}
{{- fail (printf "%sclaim: names no file system, or two. Set either volume_handle, for an existing one, or storage_class, for a new one." $path) -}}
{{- end -}}
{{- if and $claim.volume_handle (eq .Values.global.shared_fs "fsx") -}}
{{- if or (empty $claim.dns_name) (empty $claim.mount_name) -}}
{{- fail (printf "%sclaim: an existing FSx file system needs dns_name and mount_name. Set both; they are in: aws fsx describe-file-systems --file-system-ids %s" $path $claim.volume_handle) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
