"""mrc-sagemaker run as a user does, against the stand-in."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "charts" / "sagemaker"
ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com"
OFFLINE = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-west-2",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}
VALUES: dict[str, Any] = {
    "maskrcnn": {"image": f"{ECR}/mask-rcnn:1", "node_group": "p4d"},
    "sagemaker": {
        "role": "arn:aws:iam::123456789012:role/SageMakerTraining",
        "data": {"s3_uri": "s3://my-bucket/data"},
        "output_s3_uri": "s3://my-bucket/output",
        "endpoint": {"image": f"{ECR}/mask-rcnn-serve:1"},
    },
}


def write(path: Path, values: Any) -> Path:
    """A values file."""
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def run(*arguments: str | Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run ``mrc-sagemaker``; a variable that is empty is unset."""
    variables = {**os.environ, **OFFLINE, **environment}
    return subprocess.run(
        [sys.executable, "-m", "mrc_sagemaker.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=CHART.parents[1],
        env={name: value for name, value in variables.items() if value},
    )
