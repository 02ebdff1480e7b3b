{{/* Names, checks and parts of the objects. The argument is the root context ("."), unless the comment says otherwise. */}}

{{/* A value that is required. Argument: dict "value", "name", "what". */}}
{{- define "sagemaker.required" -}}
{{- if has .value (list nil "") -}}
{{- fail (printf "%s: is not set. Set it to %s." .name .what) -}}
{{- end -}}
{{- .value -}}
{{- end -}}

{{- define "sagemaker.check" -}}
{{- include "mrc.checkGlobal" . -}}
{{- if .Values.maskrcnn.env_from -}}
{{- fail "maskrcnn.env_from: SageMaker knows no ConfigMaps and Secrets. Write the variables in maskrcnn.env, or let the role read Secrets Manager." -}}
{{- end -}}
{{- include "mrc.checkNulls" (dict "values" .Values.maskrcnn "path" "maskrcnn." "names" (list "gpus" "gpus_per_node" "device")) -}}
{{- include "mrc.checkNulls" (dict "values" .Values.sagemaker "path" "sagemaker." "names" (list "volume_gib" "max_run_seconds" "data" "endpoint")) -}}
{{- end -}}

{{/* Metadata of an object. Argument: dict "root", "name", "component". */}}
{{- define "sagemaker.metadata" -}}
name: {{ .name | lower | quote }}
namespace: {{ include "mrc.namespace" .root | quote }}
{{- $region := include "sagemaker.region" .root }}
{{- $annotations := ternary (dict "services.k8s.aws/region" $region) dict (ne $region "") }}
{{ include "mrc.metadata" (dict "root" .root "component" .component "annotations" $annotations) }}
{{- end -}}

{{/* Region: the given one, or that of the image in ECR; empty if neither says it. */}}
{{- define "sagemaker.region" -}}
{{- $image := .Values.maskrcnn.image | default "" -}}
{{- if .Values.sagemaker.region -}}{{- .Values.sagemaker.region -}}
{{- else if regexMatch `^[^/]*\.dkr\.ecr(-fips)?\.[^/.]+\.` $image -}}
{{- regexReplaceAll `^[^/]*\.dkr\.ecr(-fips)?\.([^/.]+)\..*$` $image "${2}" -}}
{{- end -}}
{{- end -}}

{{- define "sagemaker.instanceType" -}}
{{- $node := include "maskrcnn.node" . | fromYaml -}}
{{- $type := .Values.sagemaker.instance_type -}}
{{- if and (not $type) $node -}}{{- $type = printf "ml.%s" $node.instance_type -}}{{- end -}}
{{- include "sagemaker.required" (dict "value" $type "name" "sagemaker.instance_type" "what" "an instance type such as ml.p3dn.24xlarge, or set maskrcnn.node_group") -}}
{{- end -}}

{{- define "sagemaker.instanceCount" -}}
{{- .Values.sagemaker.instance_count | default (include "maskrcnn.workers" .) | int -}}
{{- end -}}

{{/* Secret of the job; on upgrade that of the existing object, whose spec may not change. */}}
{{- define "sagemaker.token" -}}
{{- $live := lookup "sagemaker.services.k8s.aws/v1alpha1" "TrainingJob" (include "mrc.namespace" .) (include "maskrcnn.jobName" .) -}}
{{- .Values.sagemaker.job_token | default (dig "spec" "hyperParameters" "mrc_job_token" "" ($live | default dict)) | default (randAlphaNum 32) -}}
{{- end -}}

{{/* The trainer's settings by key, as hyperparameters (YAML). Paths are relative to the channel. */}}
{{- define "sagemaker.hyperParameters" -}}
{{- $parameters := dict "ranks_per_host" (printf "%d" (int .Values.maskrcnn.gpus_per_node)) -}}
{{- range include "maskrcnn.settings" . | fromYamlArray -}}
{{- $key := . | splitList "=" | first -}}
{{- $value := trimPrefix (printf "%s=" $key) . | replace "$(DATA_FS)/" "" | replace "$(DATA_FS)" "" -}}
{{- /* Without a directory in it, the channel itself is the data set. */ -}}
{{- if not (or (eq $key "TRAINER") (and (eq $key "DATA.BASEDIR") (eq $value ""))) -}}{{- $_ := set $parameters $key $value -}}{{- end -}}
{{- end -}}
{{- if include "maskrcnn.fp16" . -}}{{- $_ := set $parameters "TRAIN.MIXED_PRECISION" "True" -}}{{- end -}}
{{- if gt (include "sagemaker.instanceCount" . | int) 1 -}}{{- $_ := set $parameters "mrc_job_token" (include "sagemaker.token" .) -}}{{- end -}}
{{- toYaml $parameters -}}
{{- end -}}

{{/* Environment of the containers (YAML): strings only, since SageMaker knows no Secrets. */}}
{{- define "sagemaker.environment" -}}
{{- $environment := include "maskrcnn.environment" . | fromYaml -}}
{{- range $name, $value := $environment -}}
{{- if kindIs "map" $value -}}
{{- fail (printf "maskrcnn.env: %s has valueFrom, which SageMaker does not have. Write its value, or let the role read it from Secrets Manager." $name) -}}
{{- end -}}
{{- end -}}
{{- toYaml $environment -}}
{{- end -}}

{{/* Input channels, a list. */}}
{{- define "sagemaker.channels" -}}
{{- $s := .Values.sagemaker -}}
{{- $source := dict -}}
{{- if $s.data.file_system_id -}}
{{- $directory := include "sagemaker.required" (dict "value" $s.data.directory "name" "sagemaker.data.directory" "what" "the directory of the data on the file system") -}}
{{- $source = dict "fileSystemDataSource" (dict "fileSystemID" $s.data.file_system_id "fileSystemType" $s.data.file_system_type "fileSystemAccessMode" "ro" "directoryPath" $directory) -}}
{{- else -}}
{{- $uri := include "sagemaker.required" (dict "value" $s.data.s3_uri "name" "sagemaker.data.s3_uri" "what" "the prefix of the data, such as s3://my-bucket/mask-rcnn/data, or set file_system_id") -}}
{{- $source = dict "s3DataSource" (dict "s3DataType" "S3Prefix" "s3URI" $uri "s3DataDistributionType" "FullyReplicated") -}}
{{- end -}}
{{- $channels := list (dict "channelName" "train" "dataSource" $source "inputMode" (ternary "File" $s.data.input_mode (not (empty $s.data.file_system_id)))) -}}
{{- with $s.weights_s3_uri -}}
{{- $weights := dict "s3DataSource" (dict "s3DataType" "S3Prefix" "s3URI" . "s3DataDistributionType" "FullyReplicated") -}}
{{- $channels = append $channels (dict "channelName" "weights" "dataSource" $weights "inputMode" "File") -}}
{{- end -}}
{{- toYaml $channels -}}
{{- end -}}

{{- define "sagemaker.tags" -}}
{{- range $key, $value := .Values.sagemaker.tags }}
- key: {{ $key | quote }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "sagemaker.role" -}}
{{- include "sagemaker.required" (dict "value" .Values.sagemaker.role "name" "sagemaker.role" "what" "the ARN of an execution role; mrc-sagemaker role makes one") -}}
{{- end -}}

{{- define "sagemaker.vpc" -}}
{{- if .Values.sagemaker.subnets }}
vpcConfig:
  subnets: {{- toYaml .Values.sagemaker.subnets | nindent 2 }}
  securityGroupIDs: {{- toYaml .Values.sagemaker.security_groups | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "sagemaker.output" -}}
{{- include "sagemaker.required" (dict "value" .Values.sagemaker.output_s3_uri "name" "sagemaker.output_s3_uri" "what" "a prefix such as s3://my-bucket/mask-rcnn/output") | trimSuffix "/" -}}
{{- end -}}

{{- define "sagemaker.endpointName" -}}
{{- include "mrc.dnsName" (dict "text" (.Values.sagemaker.endpoint.name | default (include "maskrcnn.jobName" .)) "max" 54) -}}
{{- end -}}

{{/* Spec of the model without its name. */}}
{{- define "sagemaker.modelSpec" -}}
{{- $e := .Values.sagemaker.endpoint -}}
executionRoleARN: {{ include "sagemaker.role" . | quote }}
primaryContainer:
  image: {{ include "sagemaker.required" (dict "value" $e.image "name" "sagemaker.endpoint.image" "what" "the image that serves the model, mask-rcnn-serve") | quote }}
  modelDataURL: {{ $e.model_data_url | default (printf "%s/%s/output/model.tar.gz" (include "sagemaker.output" .) (include "maskrcnn.jobName" .)) | quote }}
  {{- /* An asynchronous endpoint is for images over the server's limit, which is a synchronous endpoint's. */}}
  {{- with merge (dict) $e.environment (ternary (dict "MRC_SERVE_MAX_BODY" "1073741824") (dict) (not (empty $e.async_output_s3_uri))) }}
  environment: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- include "sagemaker.vpc" . }}
{{- end -}}

{{- define "sagemaker.modelName" -}}
{{- printf "%s-%s" (include "sagemaker.endpointName" .) (include "sagemaker.modelSpec" . | fromYaml | toJson | sha256sum | trunc 8) -}}
{{- end -}}

{{/* Spec of the endpoint configuration without its name. */}}
{{- define "sagemaker.endpointConfigSpec" -}}
{{- $e := .Values.sagemaker.endpoint -}}
productionVariants:
- variantName: AllTraffic
  modelName: {{ include "sagemaker.modelName" . | quote }}
  initialInstanceCount: {{ int $e.instance_count }}
  instanceType: {{ include "sagemaker.required" (dict "value" $e.instance_type "name" "sagemaker.endpoint.instance_type" "what" "an instance type such as ml.g4dn.xlarge") | quote }}
  initialVariantWeight: 1
  containerStartupHealthCheckTimeoutInSeconds: 600
{{- with $e.async_output_s3_uri }}
asyncInferenceConfig:
  outputConfig:
    s3OutputPath: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "sagemaker.endpointConfigName" -}}
{{- printf "%s-%s" (include "sagemaker.endpointName" .) (include "sagemaker.endpointConfigSpec" . | fromYaml | toJson | sha256sum | trunc 8) -}}
{{- end -}}
