"""The documents of the execution role."""

import copy
import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import boto3
from aws_in_moto import empty_aws
from sagemaker_tool import VALUES, run, write


def without_role() -> dict[str, Any]:
    values = copy.deepcopy(VALUES)
    del values["sagemaker"]["role"]
    return values


def test_the_role_may_do_what_the_job_needs_and_nothing_else(tmp_path: Path) -> None:
    done = run("role", "first", "-f", write(tmp_path / "values.yaml", without_role()))
    assert done.returncode == 0, done.stderr + done.stdout
    documents = json.loads(done.stdout)
    assert documents["trust"]["Statement"][0]["Principal"] == {"Service": "sagemaker.amazonaws.com"}

    def allowed(action: str, resource: str) -> bool:
        return any(
            action in statement["Action"]
            and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
            for statement in documents["policy"]["Statement"]
        )

    assert allowed("s3:GetObject", "arn:aws:s3:::my-bucket/data/train2017/1.jpg")
    assert allowed("s3:PutObject", "arn:aws:s3:::my-bucket/output/first/output/model.tar.gz")
    assert not allowed("s3:PutObject", "arn:aws:s3:::my-bucket/data/train2017/1.jpg")
    assert not allowed("s3:GetObject", "arn:aws:s3:::my-bucket/secret")
    assert allowed("ecr:BatchGetImage", "arn:aws:ecr:us-west-2:123456789012:repository/mask-rcnn")
    assert not any(
        "*" in action for statement in documents["policy"]["Statement"] for action in statement["Action"]
    )


def test_the_role_is_created_once_and_its_policy_renewed(tmp_path: Path) -> None:
    file = write(tmp_path / "values.yaml", without_role())
    with empty_aws() as environment:
        iam = boto3.client("iam", **credentials(environment))
        for values in ([], ["--set", "sagemaker.output_s3_uri=s3://other-bucket/output"]):
            done = run("role", "first", "-f", file, *values, "--create", "Training", **environment)
            assert done.returncode == 0, done.stderr
            assert done.stdout == "arn:aws:iam::123456789012:role/Training\n"
            policy = iam.get_role_policy(RoleName="Training", PolicyName="mrc-sagemaker")["PolicyDocument"]
            printed = json.loads(run("role", "first", "-f", file, *values).stdout)
            assert policy == printed["policy"]
        assert "other-bucket" in json.dumps(policy)
        trust = iam.get_role(RoleName="Training")["Role"]["AssumeRolePolicyDocument"]
        assert trust == printed["trust"]


def test_a_role_of_something_else_is_left_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "values.yaml", without_role())
    with empty_aws() as environment:
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        boto3.client("iam", **credentials(environment)).create_role(
            RoleName="Other", AssumeRolePolicyDocument=trust
        )
        done = run("role", "first", "-f", file, "--create", "Other", **environment)
    assert done.returncode == 1
    assert done.stderr.startswith("mrc-sagemaker: role Other already exists, but SageMaker may not take it.")


def credentials(environment: dict[str, str]) -> dict[str, str]:
    return {
        "endpoint_url": environment["AWS_ENDPOINT_URL"],
        "aws_access_key_id": "test",
        "aws_secret_access_key": "test",
        "region_name": "us-west-2",
    }
