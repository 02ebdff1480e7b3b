"""The tests of the Terraform modules and roots, which are beside them."""

from pathlib import Path

import pytest
from terraform_roots import REPOSITORY, initialize, terraform

TESTED = sorted(
    {file.parents[1].relative_to(REPOSITORY) for file in REPOSITORY.glob("terraform/**/tests/*.tftest.hcl")}
)


@pytest.mark.parametrize("module", TESTED, ids=str)
def test_the_runs_of_a_module_pass(module: Path, checkout: Path) -> None:
    environment = {"CHECKPOINT_DISABLE": "1"}
    initialize(checkout / module, environment)
    assert "0 failed" in terraform(checkout / module, environment, "test", "-no-color")


def test_every_module_has_tests() -> None:
    assert {path.name for path in TESTED} >= {
        path.name for path in (REPOSITORY / "terraform" / "modules").iterdir()
    }
