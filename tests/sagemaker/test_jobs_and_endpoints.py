"""mrc-sagemaker against a strict stand-in of SageMaker that runs the real ``train``."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import training_containers as containers
import yaml
from aws_in_moto import empty_aws
from sagemaker_tool import ECR, VALUES, run, write
from standin import SageMaker, serving

MODEL = "s3://my-bucket/output/first/output/model.tar.gz"
SMALL = {
    **VALUES,
    "maskrcnn": {
        "image": f"{ECR}/mask-rcnn:1",
        "device": "cpu",
        "gpus": 1,
        "gpus_per_node": 1,
        "data_dir": "",
        "backbone_weights": "",
        "backbone_norm": None,
        "steps_per_epoch": 3,
        "lr_schedule": None,
        "lr_epoch_schedule": "[(2, None)]",
        "eval_period_in_epochs": 2,
        "extra_config": [
            f"{key}={value}"
            for key, value in containers.HYPERPARAMETERS.items()
            if key.isupper()
            and key not in ("TRAIN.STEPS_PER_EPOCH", "TRAIN.LR_EPOCH_SCHEDULE", "TRAIN.EVAL_PERIOD")
        ],
    },
    "sagemaker": {**VALUES["sagemaker"], "instance_type": "ml.c5.xlarge"},
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, tiny_scenes: Path) -> Iterator[tuple[SageMaker, str]]:
    service = SageMaker(tmp_path_factory.mktemp("jobs"), tiny_scenes)
    with serving(service) as url:
        yield service, url


@pytest.fixture(scope="module")
def registry() -> Iterator[str]:
    """URL of moto's ECR, with the images of the values."""
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
    with empty_aws() as environment:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        ecr = boto3.client("ecr", "us-west-2", endpoint_url=environment["AWS_ENDPOINT_URL"], **keys)
        for name in ("mask-rcnn", "mask-rcnn-serve"):
            ecr.create_repository(repositoryName=name)
            ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag="1")
        yield environment["AWS_ENDPOINT_URL"]


@pytest.fixture
def aws(service: tuple[SageMaker, str], registry: str) -> dict[str, str]:
    return {"AWS_ENDPOINT_URL": service[1], "AWS_ENDPOINT_URL_ECR": registry}


@pytest.mark.parametrize(
    ("flag", "command"),
    [
        (f"maskrcnn.image={ECR}/mask-rcnn:2", "train"),
        (f"sagemaker.endpoint.image={ECR}/other@sha256:{'0' * 64}", "endpoint"),
    ],
)
def test_an_image_that_was_not_pushed_is_found_before_anything_is_created(
    service: tuple[SageMaker, str], aws: dict[str, str], tmp_path: Path, flag: str, command: str
) -> None:
    before = len(service[0].calls)
    done = run(command, "none", "-f", write(tmp_path / "values.yaml", SMALL), "--set", flag, **aws)
    assert done.returncode == 1
    image = flag.partition("=")[2]
    message = f"image {image} not found in ECR; SageMaker could not start it. Push it with mrc-images"
    assert done.stderr.splitlines()[-1] == f"mrc-sagemaker: {message}"
    assert len(service[0].calls) == before


def test_who_may_not_ask_for_images_is_told_so(
    service: tuple[SageMaker, str], aws: dict[str, str], tmp_path: Path
) -> None:
    service[0].deny = {"DescribeImages"}
    try:
        values = write(tmp_path / "values.yaml", SMALL)
        done = run("model", "denied", "-f", values, **{**aws, "AWS_ENDPOINT_URL_ECR": service[1]})
    finally:
        service[0].deny = set()
    assert done.returncode == 0, done.stderr
    assert f"{ECR}/mask-rcnn-serve:1 was not looked up: AWS denies ecr:DescribeImages" in done.stderr


def test_a_job_trains_and_its_model_is_hosted_and_deleted(
    service: tuple[SageMaker, str], aws: dict[str, str], tmp_path: Path
) -> None:
    values = write(tmp_path / "values.yaml", SMALL)
    earlier = len(service[0].calls)
    done = run("train", "first", "-f", values, **aws)
    assert (done.returncode, done.stdout) == (0, "first\n"), done.stderr + done.stdout
    again = run("train", "first", "-f", values, **aws)
    assert again.returncode == 0
    assert "TrainingJob first already exists with these settings" in again.stderr
    other = run("train", "first", "-f", values, "--set", "maskrcnn.base_lr=0.5", **aws)
    assert other.returncode == 1
    assert "HyperParameters.TRAIN.BASE_LR is None, not 0.5. Set maskrcnn.run for another run" in other.stderr

    waited = run("wait", "first", "--poll", "0.5", **aws)
    assert (waited.returncode, waited.stdout) == (0, f"{MODEL}\n"), waited
    assert "status:      Completed" in run("status", "first", **aws).stdout
    exported = json.loads((service[0].directory / "first" / "model" / "model.json").read_text())
    assert exported["checkpoint"] == "model-6"

    for word in ("created Model", "already exists with these settings"):
        created = run("model", "first", "-f", values, **aws)
        assert (created.returncode, created.stdout[:6]) == (0, "first-"), created.stderr
        assert word in created.stderr
    for _ in range(2):
        hosted = run("endpoint", "first", "-f", values, **aws)
        assert (hosted.returncode, hosted.stdout) == (0, "first\n"), hosted.stderr
    assert run("wait", "first", "--endpoint", "--poll", "0.2", **aws).returncode == 0
    changed = run("endpoint", "first", "-f", values, "--set", "sagemaker.endpoint.instance_count=2", **aws)
    assert changed.returncode == 0, changed.stderr
    calls = service[0].calls[earlier:]
    assert (calls.count("UpdateEndpoint"), calls.count("CreateModel")) == (1, 1)
    assert run("wait", "first", "--endpoint", "--poll", "0.2", **aws).returncode == 0

    taken = run(
        "manifests", "first", "-f", values, "--set", "sagemaker.endpoint.enabled=true", "--check", **aws
    )
    assert (taken.returncode, taken.stdout) == (1, "")
    job, model, configuration, endpoint = (line for line in taken.stderr.splitlines() if "already" in line)
    assert job == (
        "mrc-sagemaker: TrainingJob first already exists in us-west-2 (Completed), and the name of a "
        "training job is never free again. Set maskrcnn.run for another run"
    )
    assert model.startswith("mrc-sagemaker: Model first-")
    assert configuration.startswith("mrc-sagemaker: EndpointConfig first-")
    assert endpoint.endswith("or delete it: mrc-sagemaker delete first")
    free = run("manifests", "first", "-f", values, "--set", "maskrcnn.run=2", "--check", **aws)
    assert free.returncode == 0, free.stderr
    assert yaml.safe_load(free.stdout)["spec"]["trainingJobName"] == "first-2"

    gone = run("delete", "first", **aws)
    assert [line.split()[1] for line in gone.stdout.splitlines()] == ["Endpoint", "EndpointConfig", "Model"]
    assert "nothing to delete" in run("delete", "first", **aws).stderr


def test_a_failed_job_ends_the_wait_with_the_trainers_own_line(aws: dict[str, str], tmp_path: Path) -> None:
    values = write(tmp_path / "values.yaml", SMALL)
    flags = ("--set", "maskrcnn.backbone_weights=R50.npz")
    assert run("train", "bad", "-f", values, *flags, **aws).returncode == 0
    waited = run("wait", "bad", "--poll", "0.3", **aws)
    assert waited.returncode == 1
    assert (
        "training job bad failed: AlgorithmError: mrc-train: error: R50.npz: no such weights" in waited.stderr
    )
    assert "Look at: mrc-sagemaker logs bad" in waited.stderr


def test_a_stopped_job_is_not_a_success(aws: dict[str, str], tmp_path: Path) -> None:
    """airflow 42423."""
    values = write(tmp_path / "values.yaml", SMALL)
    assert run("train", "long", "-f", values, "--set", "maskrcnn.steps_per_epoch=9000", **aws).returncode == 0
    assert run("stop", "long", **aws).returncode == 0
    waited = run("wait", "long", "--poll", "0.3", **aws)
    assert waited.returncode == 1
    assert "training job long was stopped before its end" in waited.stderr
    assert "is Stopped already" in run("stop", "long", **aws).stderr


def test_an_update_that_failed_is_no_success(
    service: tuple[SageMaker, str], aws: dict[str, str], tmp_path: Path
) -> None:
    """terraform-provider-aws 39099: the endpoint is InService, with a reason."""
    values = write(tmp_path / "values.yaml", SMALL)
    assert run("endpoint", "update", "-f", values, "--wait", "--timeout", "60", **aws).returncode == 0
    service[0].fail_endpoints = True
    try:
        flags = ("--set", "sagemaker.endpoint.instance_count=3", "--wait", "--timeout", "60")
        failed = run("endpoint", "update", "-f", values, *flags, **aws)
    finally:
        service[0].fail_endpoints = False
    assert failed.returncode == 1
    assert "the update of endpoint update failed; it serves update-" in failed.stderr
    assert "did not pass the ping health check" in failed.stderr


def test_a_wait_without_end_names_the_state_and_the_next_command(aws: dict[str, str], tmp_path: Path) -> None:
    """amazon-sagemaker-examples 3432."""
    values = write(tmp_path / "values.yaml", SMALL)
    assert run("train", "slow", "-f", values, "--set", "maskrcnn.steps_per_epoch=9000", **aws).returncode == 0
    waited = run("wait", "slow", "--timeout", "1", "--poll", "0.3", **aws)
    assert waited.returncode == 1
    assert (
        "training job slow is still InProgress, Training after 1 s. Look at: mrc-sagemaker logs slow"
        in waited.stderr
    )
    run("stop", "slow", **aws)


def test_a_denied_action_is_named(service: tuple[SageMaker, str], aws: dict[str, str]) -> None:
    service[0].deny = {"DescribeTrainingJob"}
    try:
        denied = run("status", "first", **aws)
    finally:
        service[0].deny = set()
    assert denied.returncode == 3
    assert denied.stderr.startswith("mrc-sagemaker: sagemaker:DescribeTrainingJob: AWS denies it.")
    assert denied.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("ExpiredTokenException", "the AWS credentials have expired"),
        ("UnrecognizedClientException", "AWS does not accept the credentials"),
        ("ThrottlingException", "AWS still limits the rate of requests"),
    ],
)
def test_an_error_of_aws_is_one_line(
    service: tuple[SageMaker, str], aws: dict[str, str], code: str, message: str
) -> None:
    service[0].broken = code
    before = len(service[0].calls)
    try:
        done = run("status", "first", **aws)
    finally:
        service[0].broken = ""
    assert done.returncode == 3
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    retried = len(service[0].calls) - before > 1
    assert retried == (code == "ThrottlingException")


def test_a_job_in_another_region_is_not_found_there(aws: dict[str, str]) -> None:
    done = run("status", "first", "--region", "eu-west-1", **aws)
    assert done.returncode == 1
    assert done.stderr == (
        "mrc-sagemaker: training job first not found in eu-west-1. List them: aws sagemaker "
        "list-training-jobs --region eu-west-1\n"
    )


def test_a_region_that_does_not_exist_is_one_line(aws: dict[str, str]) -> None:
    done = run("status", "first", "--region", "us_west", **aws)
    assert done.returncode == 3
    assert "us_west" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_credentials_there_is_one_line(aws: dict[str, str]) -> None:
    done = run("status", "first", **aws, AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="")
    assert done.returncode == 3
    assert "no AWS credentials were found" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_image_over_the_limit_is_not_sent(tmp_path: Path) -> None:
    """amazon-sagemaker-examples 245: the endpoint closes the connection."""
    (tmp_path / "large.jpg").write_bytes(bytes(6291457))
    done = run("invoke", "first", tmp_path / "large.jpg")
    assert done.returncode == 1
    assert "6291457 bytes, but an endpoint takes at most 6291456" in done.stderr


def test_a_job_trains_on_this_machine(tmp_path: Path, tiny_scenes: Path) -> None:
    values = write(tmp_path / "values.yaml", SMALL)
    where = ("--data", tiny_scenes, "--directory", tmp_path / "ml")
    done = run("local", "train", "first", "-f", values, *where)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == str(tmp_path / "ml" / "model")
    assert json.loads((tmp_path / "ml" / "model" / "model.json").read_text())["checkpoint"] == "model-6"
