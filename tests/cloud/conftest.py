"""The stand-in for AWS, once per session, and a copy of the Terraform."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mrc_cli import aws
from stand_in_server import REGION, StandIn
from terraform_roots import copied


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    if "MRC_CLOUD_PYTHON" not in os.environ:
        pytest.skip("needs MiniStack in an environment of its own: run make test-cloud")
    running = StandIn(tmp_path_factory.mktemp("stand-in"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment.items():
            patch.setenv(name, value)
        yield running
    running.stop()


@pytest.fixture(scope="session")
def clients(stand_in: StandIn) -> Any:
    """``clients(service)``: a boto3 client of the stand-in."""
    return lambda service: aws.client(service, REGION)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what Terraform reads."""
    return copied(tmp_path_factory.mktemp("checkout"))
