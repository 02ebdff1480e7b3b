"""An image may be named by its digest, alone or after a tag."""

from pathlib import Path

import pytest
from values_files import checked, rule_ids

DIGEST = "sha256:" + "0123456789abcdef" * 4
ECR = "123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn"
RULES = {"MRC020", "MRC021", "MRC022", "MRC024", "MRC025", "MRC026"}


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (f"{ECR}@{DIGEST}", set()),
        (f"{ECR}:0.1.0-gpu@{DIGEST}", set()),
        (f"{ECR}:latest@{DIGEST}", set()),
        (f"localhost:5000/team/mask-rcnn@{DIGEST}", set()),
        (f"{ECR}:1.0-arm64@{DIGEST}", {"MRC024"}),
        (f"{ECR}:1.0-cu102@{DIGEST}", {"MRC025"}),
        (f"1234.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn@{DIGEST}", {"MRC026"}),
        (f"{ECR}@{DIGEST[:-1]}", {"MRC022"}),
        (f"{ECR}@{DIGEST.upper()}", {"MRC022"}),
        (f"{ECR}:0.1.0:{DIGEST}", {"MRC022"}),
    ],
)
def test_rules_read_the_reference_of_a_digest(tmp_path: Path, image: str, expected: set[str]) -> None:
    result = checked(tmp_path, f"maskrcnn: {{node_group: p4d, image: '{image}'}}")
    assert rule_ids(result) & RULES == expected
