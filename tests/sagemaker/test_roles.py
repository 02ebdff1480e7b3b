"""The documents of the execution role."""

import copy
import json
from fnmatch import fnmatchcase
from pathlib import Path

from sagemaker_tool import VALUES, run, write


def test_the_role_may_do_what_the_job_needs_and_nothing_else(tmp_path: Path) -> None:
    values = copy.deepcopy(VALUES)
    del values["sagemaker"]["role"]
    done = run("role", "first", "-f", write(tmp_path / "values.yaml", values))
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
