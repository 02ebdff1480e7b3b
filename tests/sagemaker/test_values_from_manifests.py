"""Manifests of the legacy operator as a values file: the chart renders what the manifests say."""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_sagemaker.conversion import convert
from mrc_sagemaker.values_file import Values, values_file
from mrc_train import config
from mrc_train.config import Config
from mrc_train.sagemaker import hyperparameters
from mrc_values import catalogue
from mrc_values.check import check
from mrc_values.manifests import objects
from sagemaker_tool import CHART, run, write
from test_conversion import HOSTING, TRAIN

NETWORK = TRAIN["spec"]["vpcConfig"]

ADDED = {
    "TrainingJob": {
        "algorithmSpecification.metricDefinitions",
        "environment",
        "hyperParameters.ranks_per_host",
        "inputDataConfig.0.inputMode",
    },
    "Model": set(),
    "EndpointConfig": {"productionVariants.0.containerStartupHealthCheckTimeoutInSeconds"},
    "Endpoint": set(),
}
"""What the chart has for every job besides."""

RENAMED = {"modelName", "endpointConfigName", "productionVariants.0.modelName"}
"""Names with a hash."""


def changed(manifest: Mapping[str, Any], **spec: Any) -> dict[str, Any]:
    return {**manifest, "spec": {**copy.deepcopy(manifest["spec"]), **spec}}


def train(**spec: Any) -> dict[str, Any]:
    return changed(TRAIN, trainingJobName="mask-rcnn", **spec)


def hosting(**spec: Any) -> dict[str, Any]:
    """With its model in the network of the training job."""
    manifest = changed(HOSTING, **spec)
    manifest["spec"]["models"][0]["vpcConfig"] = NETWORK
    return manifest


LEGACY = {
    "a job and its hosting": [train(), hosting()],
    "a job alone": [train()],
    "a spot job": [
        train(
            enableManagedSpotTraining=True,
            stoppingCondition={"maxRuntimeInSeconds": 3600, "maxWaitTimeInSeconds": 7200},
            checkpointConfig={"s3Uri": "s3://my-bucket/checkpoints/mask-rcnn"},
            tags=[{"key": "team", "value": "vision"}],
        )
    ],
    "every kind of hyperparameter": [
        train(
            hyperParameters=[
                {"name": name, "value": value}
                for name, value in {
                    "mode_fpn": "True",
                    "batch_norm": '"FreezeBN"',
                    "images_per_epoch": "120000",
                    "lr_epoch_schedule": "[(16, 0.1), (20, 0.01), (24, None)]",
                    "gradient_clip": "0.36",
                    "data_train": '["train2017"]',
                    "data_dir": "coco",
                    "backbone_weights": "pretrained/R50.npz",
                    "TRAIN.CHECKPOINT_PERIOD": "2",
                    "TRAIN.BASE_LR": "1e-2",
                    "horovod_cycle_time": "0.7",
                    "nccl_min_rings": "8",
                    "ranks_per_host": "4",
                    "mrc_job_token": "6f1d1c4e9a0b4f7d",
                }.items()
            ],
            environment=[{"name": "TF_CPP_MIN_LOG_LEVEL", "value": "2"}],
        )
    ],
    "data on a file system, on CPUs": [
        train(
            resourceConfig={"instanceCount": 1, "instanceType": "ml.c5.4xlarge", "volumeSizeInGB": 50},
            inputDataConfig=[
                {
                    "channelName": "train",
                    "dataSource": {
                        "fileSystemDataSource": {
                            "fileSystemId": "fs-0123456789abcdef0",
                            "fileSystemType": "FSxLustre",
                            "fileSystemAccessMode": "ro",
                            "directoryPath": "/fsx/mask-rcnn",
                        }
                    },
                },
                {
                    "channelName": "weights",
                    "inputMode": "File",
                    "dataSource": {
                        "s3DataSource": {
                            "s3DataType": "S3Prefix",
                            "s3Uri": "s3://my-bucket/weights",
                            "s3DataDistributionType": "FullyReplicated",
                        }
                    },
                },
            ],
        )
    ],
}


def values_of(*manifests: Mapping[str, Any]) -> Values:
    converted = [convert(manifest) for manifest in manifests]
    values = values_file([item for each in converted for item in each.objects], catalogue.load(CHART))
    values.lost[:0] = [text for each in converted for text in each.lost]
    return values


def flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in parts:
        yield from flat(inner, f"{path}.{name}".lstrip("."))
    if not isinstance(value, dict | list):
        yield path, value


@pytest.mark.parametrize("case", LEGACY)
def test_the_chart_renders_what_the_manifests_say(case: str, tmp_path: Path) -> None:
    values = values_of(*LEGACY[case])
    assert values.lost == []
    file = write(tmp_path / "values.yaml", values.content)
    result = check(CHART, [file], [], "mask-rcnn")
    assert not result.failing, [str(finding) for finding in result.findings]
    rendered = {item["kind"]: item for item in objects(result.rendered)}
    converted = {item["kind"]: item for manifest in LEGACY[case] for item in convert(manifest).objects}
    assert rendered.keys() == converted.keys()
    for kind, item in converted.items():
        assert rendered[kind]["metadata"]["annotations"] == item["metadata"]["annotations"]
        theirs, ours = dict(flat(item["spec"])), dict(flat(rendered[kind]["spec"]))
        for spec in (theirs, ours):
            for path in [path for path in spec if path.startswith("hyperParameters.")]:
                del spec[path]
        missing = {path for path, value in theirs.items() if ours.get(path) != value} - RENAMED
        assert missing == set()
        more = {path for path in ours if path not in theirs}
        assert {path for path in more if not path.startswith(tuple(ADDED[kind]) or "-")} == set()
    (settings, own, variables), rendered_meaning = map(
        meaning, (converted["TrainingJob"], rendered["TrainingJob"])
    )
    assert rendered_meaning[:2] == (settings, own)
    assert variables.items() <= rendered_meaning[2].items()


def meaning(job: Mapping[str, Any]) -> tuple[Config, tuple[int, str, bool], dict[str, str]]:
    """What the program train makes of a job: the trainer's settings, its own, and the environment."""
    spec = job["spec"]
    gpus = {"ml.p3.16xlarge": "8", "ml.c5.4xlarge": "1"}[spec["resourceConfig"]["instanceType"]]
    arguments = hyperparameters.arguments({"ranks_per_host": gpus, **spec["hyperParameters"]})
    settings = config.parse(f"{setting.key}={setting.value}" for setting in arguments.settings)
    token = "mrc_job_token" in spec["hyperParameters"] and arguments.token
    own = (arguments.ranks_per_host, arguments.load, token == "6f1d1c4e9a0b4f7d")
    return settings, own, {**spec.get("environment", {}), **arguments.environment}


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        (
            {"outputDataConfig": {"s3OutputPath": "s3://b/o", "kmsKeyId": "k"}},
            "outputDataConfig.kmsKeyID: the charts",
        ),
        ({"hyperParameters": [{"name": "objective", "value": "x"}]}, "hyperparameter objective: unknown"),
        ({"enableNetworkIsolation": True}, "enableNetworkIsolation: the charts have no value for it"),
        ({"trainingJobName": "Mask-RCNN"}, "the name Mask-RCNN: set maskrcnn.name to at most 48 lower-case"),
        (
            {"checkpointConfig": {"s3Uri": "s3://b/c"}},
            "checkpointConfig.s3URI is s3://b/c; the chart appends the job's name",
        ),
        (
            {"resourceConfig": {"instanceCount": 2, "instanceType": "ml.p2.8xlarge", "volumeSizeInGB": 1}},
            "set maskrcnn.gpus_per_node to the GPUs of a host",
        ),
        (
            {"sageMakerEndpoint": "https://a.example"},
            "services.k8s.aws/endpoint-url: the charts have no value",
        ),
    ],
)
def test_what_the_charts_cannot_say_is_a_finding(spec: dict[str, Any], finding: str) -> None:
    values = values_of(changed(TRAIN, **{"trainingJobName": "mask-rcnn", **spec}))
    (line,) = values.lost
    assert finding in line
    assert values.content["maskrcnn"]["image"] == TRAIN["spec"]["algorithmSpecification"]["trainingImage"]


def test_a_hosting_in_another_network_or_alone_is_a_finding() -> None:
    assert values_of(train(), HOSTING).lost == [
        f"Model mask-rcnn-model: {what}: nothing, but sagemaker.{name} is {NETWORK[legacy]}; "
        "the charts have one value for both"
        for what, name, legacy in (
            ("subnets", "subnets", "subnets"),
            ("security groups", "security_groups", "securityGroupIds"),
        )
    ]
    (alone,) = values_of(hosting()).lost
    assert alone.startswith("no TrainingJob: the chart needs one as well.")


def test_the_command_prints_the_values_and_the_findings(tmp_path: Path) -> None:
    legacy = write(tmp_path / "legacy.yaml", yaml.safe_dump_all([train(), HOSTING]))
    done = run("convert", legacy, "--values")
    values = values_of(train(), HOSTING)
    assert done.returncode == 1
    assert yaml.safe_load(done.stdout) == values.content
    assert done.stderr.splitlines() == values.lost


def test_two_jobs_are_converted_one_by_one(tmp_path: Path) -> None:
    other = {**train(), "metadata": {"name": "other"}}
    done = run("convert", write(tmp_path / "legacy.yaml", yaml.safe_dump_all([train(), other])), "--values")
    assert done.returncode == 1
    assert done.stderr == (
        "mrc-sagemaker: TrainingJob mask-rcnn and other: one values file describes one of them; "
        "convert them one by one\n"
    )
