{{/* Claims of the shared and the data file system. The argument is the root context ("."), unless the comment says otherwise. */}}

{{/* All file systems (YAML, by name). */}}
{{- define "mrc.fileSystems" -}}
{{- .Files.Get "files/common/file-systems.yaml" -}}
{{- end -}}

{{/* The claim to mount where the values name none. Argument: dict "root", "fs", the file system. */}}
{{- define "mrc.defaultClaim" -}}
{{- get (get (include "mrc.fileSystems" .root | fromYaml) .fs) "claim" -}}
{{- end -}}

{{/* Claim of the file system of logs and checkpoints. */}}
{{- define "mrc.sharedClaim" -}}
{{- $fs := .Values.global.shared_fs -}}
{{- $claim := .Values.global.shared_pvc | default (include "mrc.defaultClaim" (dict "root" . "fs" $fs)) -}}
{{- range $other, $row := omit (include "mrc.fileSystems" . | fromYaml) $fs -}}
{{- if eq $claim $row.claim -}}
{{- fail (printf "global.shared_pvc: %s is the default claim of %s, but global.shared_fs is %s. Set global.shared_pvc to \"\" or to a claim of %s." $claim $other $fs $fs) -}}
{{- end -}}
{{- end -}}
{{- $claim -}}
{{- end -}}

{{/*
Claim of the data's file system: the shared claim if the file system is the same. Argument: dict "root", "fs", the data's
file system, "claim", its claim (optional), "path", the prefix of these values with a trailing dot.
*/}}
{{- define "mrc.dataClaim" -}}
{{- $sharedFs := .root.Values.global.shared_fs -}}
{{- $shared := include "mrc.sharedClaim" .root -}}
{{- if eq .fs $sharedFs -}}
{{- if and .claim (ne .claim $shared) -}}
{{- fail (printf "%sdata_pvc: %s and %s are two claims for the same file system, %s. Set %sdata_pvc to \"\", or %sdata_fs to the other file system." .path .claim $shared .fs .path .path) -}}
{{- end -}}
{{- $shared -}}
{{- else -}}
{{- $claim := .claim | default (include "mrc.defaultClaim" (dict "root" .root "fs" .fs)) -}}
{{- if eq $claim $shared -}}
{{- fail (printf "%sdata_pvc: %s is already the claim of %s (global.shared_pvc), but %sdata_fs is %s. Give each file system its own claim." .path $claim $sharedFs .path .fs) -}}
{{- end -}}
{{- $claim -}}
{{- end -}}
{{- end -}}
