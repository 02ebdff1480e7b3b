"""Manifests of the legacy SageMaker operator, converted."""

import copy
from pathlib import Path
from typing import Any

import yaml
from mrc_sagemaker.conversion import convert
from sagemaker_tool import run

TRAIN: dict[str, Any] = yaml.safe_load("""
apiVersion: sagemaker.aws.amazon.com/v1
kind: TrainingJob
metadata: {name: mask-rcnn}
spec:
  hyperParameters:
    - {name: mode_mask, value: "True"}
    - {name: eval_period, value: 1}
  algorithmSpecification:
    trainingImage: 123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn-tensorpack-sagemaker:tf1.13
    trainingInputMode: File
  roleArn: arn:aws:iam::123456789012:role/SageMakerTraining
  region: us-west-2
  outputDataConfig: {s3OutputPath: "s3://my-bucket/output"}
  resourceConfig: {instanceCount: 2, instanceType: ml.p3.16xlarge, volumeSizeInGB: 400}
  stoppingCondition: {maxRuntimeInSeconds: 86400}
  vpcConfig: {securityGroupIds: [sg-1], subnets: [subnet-1]}
  inputDataConfig:
    - channelName: train
      dataSource:
        s3DataSource:
          s3DataType: S3Prefix
          s3Uri: s3://my-bucket/train
          s3DataDistributionType: FullyReplicated
""")
HOSTING: dict[str, Any] = yaml.safe_load("""
apiVersion: sagemaker.aws.amazon.com/v1
kind: HostingDeployment
metadata: {name: mask-rcnn}
spec:
  region: us-west-2
  productionVariants:
    - variantName: AllTraffic
      modelName: mask-rcnn-model
      initialInstanceCount: 1
      instanceType: ml.m4.xlarge
      initialVariantWeight: 1
  models:
    - name: mask-rcnn-model
      executionRoleArn: arn:aws:iam::123456789012:role/SageMakerTraining
      primaryContainer: first
      containers:
        - containerHostname: first
          image: 123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn-serving:1
          modelDataUrl: s3://my-bucket/output/model.tar.gz
""")


def test_a_training_job_keeps_all_of_its_settings() -> None:
    converted = convert({**TRAIN, "spec": {**TRAIN["spec"], "trainingJobName": "mask-rcnn-1"}})
    (job,) = converted.objects
    assert converted.lost == []
    assert job["apiVersion"] == "sagemaker.services.k8s.aws/v1alpha1"
    assert job["metadata"]["annotations"] == {"services.k8s.aws/region": "us-west-2"}
    spec = job["spec"]
    assert spec["hyperParameters"] == {"mode_mask": "True", "eval_period": "1"}
    assert spec["roleARN"].endswith("role/SageMakerTraining")
    assert spec["vpcConfig"] == {"securityGroupIDs": ["sg-1"], "subnets": ["subnet-1"]}
    assert spec["inputDataConfig"][0]["dataSource"]["s3DataSource"]["s3URI"] == "s3://my-bucket/train"


def test_a_hosting_deployment_becomes_three_objects_whose_names_agree() -> None:
    model, config, endpoint = convert(HOSTING).objects
    assert [model["kind"], config["kind"], endpoint["kind"]] == ["Model", "EndpointConfig", "Endpoint"]
    assert model["spec"]["primaryContainer"]["modelDataURL"] == "s3://my-bucket/output/model.tar.gz"
    assert config["spec"]["productionVariants"][0]["modelName"] == model["spec"]["modelName"]
    assert endpoint["spec"]["endpointConfigName"] == config["spec"]["endpointConfigName"]
    changed = copy.deepcopy(HOSTING)
    changed["spec"]["productionVariants"][0]["initialInstanceCount"] = 2
    assert convert(changed).objects[1]["metadata"]["name"] != config["metadata"]["name"]


def test_what_has_no_counterpart_is_named(tmp_path: Path) -> None:
    train, hosting = copy.deepcopy(TRAIN), copy.deepcopy(HOSTING)
    train["spec"]["outputDataConfig"]["s3OutputPath"] = "my-bucket/output"
    train["spec"]["resourceConfig"]["instanceType"] = "m4.xlarge"
    hosting["spec"]["retainAllVariantProperties"] = True
    hosting["spec"]["productionVariants"][0]["acceleratorType"] = "ml.eia1.medium"
    file = tmp_path / "old.yaml"
    file.write_text(yaml.safe_dump_all([train, hosting]))
    done = run("convert", file)
    assert done.returncode == 1
    assert [item["kind"] for item in yaml.safe_load_all(done.stdout)] == [
        "TrainingJob",
        "Model",
        "EndpointConfig",
        "Endpoint",
    ]
    lines = done.stderr.splitlines()
    for part in (
        "trainingJobName: mask-rcnn; the operator added a random part",
        "OutputDataConfig.S3OutputPath: my-bucket/output does not match",
        "ResourceConfig.InstanceType: m4.xlarge is not one of",
        "retainAllVariantProperties: has no counterpart",
        "acceleratorType; AWS no longer offers Elastic Inference",
    ):
        assert any(part in line for line in lines), (part, lines)
    assert len(lines) == 5


def test_another_manifest_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "pod.yaml"
    file.write_text("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n")
    done = run("convert", file)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Pod of v1 is not of the legacy SageMaker operator" in done.stderr


def test_a_file_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    done = run("convert", tmp_path / "old.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"mrc-sagemaker: {tmp_path}/old.yaml: no such file or directory\n"
