"""The pure functions of local mode: variable expansion, the launcher of a manifest, log lines."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_cli.errors import UserError
from mrc_values.launcher_log import last_error, separated
from mrc_values.local.launch import command_line, environment, expand, launcher_of

VARIABLES = {"VAR_A": "A", "VAR_B": "B", "VAR_REF": "$(VAR_A)", "VAR_EMPTY": ""}

# From the table in Kubernetes' design document "Variable expansion in pod command, args, and env".
EXPANSIONS = [
    ("$(VAR_A)", "A"),
    ("___$(VAR_B)___", "___B___"),
    ("$(VAR_A)-$(VAR_A)", "A-A"),
    ("$$(VAR_B)_$(VAR_A)", "$(VAR_B)_A"),
    ("f000-$$VAR_A", "f000-$VAR_A"),
    ("$(VAR_A$(VAR_B))", "$(VAR_A$(VAR_B))"),
    ("$(VAR_REF)", "$(VAR_A)"),
    ("foo$(VAR_EMPTY)bar", "foobar"),
    ("foo$(VAR_Awhoops!", "foo$(VAR_Awhoops!"),
    ("$?_boo_$!", "$?_boo_$!"),
    ("$(VAR_DNE)", "$(VAR_DNE)"),
    ("$$$$$$(VAR_A)", "$$$(VAR_A)"),
    ("$$$$$$$(VAR_A)", "$$$A"),
    ("${VAR_A}", "${VAR_A}"),
    ("$(VAR_B)_______$(", "B_______$("),
    ("--$($($($($--", "--$($($($($--"),
]


@pytest.mark.parametrize(("text", "expanded"), EXPANSIONS)
def test_variables_expand_as_in_kubernetes(text: str, expanded: str) -> None:
    assert expand(text, VARIABLES) == expanded


def rendered(container: dict[str, Any], **pod: Any) -> dict[str, str]:
    """A rendered chart: an MPIJob with this container as its launcher."""
    launcher = {"template": {"spec": {"containers": [container], **pod}}}
    job = {
        "kind": "MPIJob",
        "metadata": {"name": "job", "namespace": "ml"},
        "spec": {"mpiReplicaSpecs": {"Launcher": launcher}},
    }
    return {"c/templates/job.yaml": yaml.safe_dump(job), "c/templates/NOTES.txt": "kind: MPIJob"}


def test_the_command_uses_the_directories_and_the_manifests_variables() -> None:
    env = [
        {"name": "SHARED_FS", "value": "/efs"},
        {"name": "RUN_DIR", "value": "$(SHARED_FS)/$(POD_NAMESPACE)/run"},
        {"name": "POD_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    launcher = launcher_of(
        rendered({"command": ["sh", "-c", "x"], "args": ["$(RUN_DIR)", "$(POD_NAMESPACE)"], "env": env})
    )
    variables = environment(launcher, {"SHARED_FS": Path("/tmp/efs")})
    # A variable can refer only to variables before it.
    assert command_line(launcher, variables) == ["sh", "-c", "x", "/tmp/efs/$(POD_NAMESPACE)/run", "ml"]


SECRET = {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}


@pytest.mark.parametrize(
    ("manifests", "message"),
    [
        ({}, "the chart renders 0 MPIJobs; local mode needs exactly one."),
        (
            rendered({"args": ["x"]}),
            "the launcher of MPIJob job has no command, and local mode cannot take the image's.",
        ),
        (
            rendered({"command": ["x"]}, initContainers=[{}]),
            "the launcher of MPIJob job has several containers; local mode can run only one.",
        ),
        (
            rendered({"command": ["x"], "envFrom": [{}]}),
            "the launcher takes variables from a ConfigMap or Secret (envFrom), which requires a cluster.",
        ),
        (
            rendered({"command": ["x"], "env": [SECRET]}),
            "the launcher's variable TOKEN comes from a secretKeyRef, which requires a cluster.",
        ),
    ],
)
def test_a_launcher_that_requires_a_cluster_is_rejected(manifests: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        launcher_of(manifests)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("[1,1]<stderr>:Value[1,1]<stderr>:Error: [1,1]<stderr>:x", ["[1,1]<stderr>:ValueError: x"]),
        (
            "[1,1]<stderr>:ValueError: x[1,0]<stdout>:progress step=1/2",
            ["[1,1]<stderr>:ValueError: x", "[1,0]<stdout>:progress step=1/2"],
        ),
        ("launch: running: mpirun", ["launch: running: mpirun"]),
        ("", [""]),
    ],
)
def test_pieces_of_one_rank_are_joined_and_lines_of_two_ranks_are_separated(
    line: str, lines: list[str]
) -> None:
    assert separated(line) == lines


MPIRUN_OUTPUT = """\
--------------------------------------------------------------------------
mpirun detected that one or more processes exited with non-zero status, thus causing
the job to be terminated. The first process to do so was:

  Process name: [[24218,1],1]
  Exit code:    1
--------------------------------------------------------------------------"""
KILLED = "mpirun noticed that process rank 1 with PID 0 on node a exited on signal 9 (Killed)."


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (
            f"[1,1]<stderr>:KeyError: 'x'\n[1,0]<stdout>:progress step=1/2\n{MPIRUN_OUTPUT}",
            "KeyError: 'x'",
        ),
        (
            f"[1,0]<stderr>:mrc_train.config.ConfigError: no\n{MPIRUN_OUTPUT}",
            "mrc_train.config.ConfigError: no",
        ),
        (f"[1,0]<stderr>:mrc-train: error: no data\n{MPIRUN_OUTPUT}", "mrc-train: error: no data"),
        ("[1,1]<stderr>:ValueError: x[1,0]<stdout>:progress step=1/2", "ValueError: x"),
        (f"[1,0]<stdout>:progress step=1/2\n-----\n{KILLED}\n-----", KILLED),
        ("launch: running: mpirun\nlaunch: /efs is not writable", "launch: /efs is not writable"),
        ("", ""),
    ],
)
def test_the_last_error_of_a_log_is_the_line_that_explains_the_failure(log: str, message: str) -> None:
    assert last_error(log.splitlines()) == message


def test_the_last_error_of_a_log_is_short_and_without_colors() -> None:
    assert last_error(["[1,0]<stderr>:\x1b[31mKeyError: 'x'\x1b[0m"]) == "KeyError: 'x'"
    assert len(last_error(["ValueError: " + "x" * 100_000])) == 300
