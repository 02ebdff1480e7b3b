"""Suggestions for unknown keys: a suggestion is right or absent."""

import json
import re
from pathlib import Path

import pytest
from mrc_values.check import check
from mrc_values.rules import RULES, Rule
from values_files import CHART, checked, lines, rule_ids

NAMES = [
    name
    for line in Path(__file__).with_name("foreign_names.txt").read_text().splitlines()
    if not line.startswith("#")
    for name in line.split()
]
"""Keys of the values files of the charts of KubeRay, JupyterHub and Bitnami, without duplicates."""

EXPECTED = {
    "": {
        "affinity": "It belongs under maskrcnn.",
        "cpu": "It belongs under maskrcnn.",
        "env": "It belongs under maskrcnn.",
        "image": "It belongs under maskrcnn or jupyter or tensorboard.",
        "ingress": "It belongs under jupyter or tensorboard.",
        "memory": "It belongs under maskrcnn.",
        "name": "It belongs under maskrcnn or jupyter or tensorboard.",
        "namespace": "It belongs under global.",
        "port": "It belongs under jupyter or tensorboard.",
        "resources": "It belongs under jupyter or tensorboard.",
        "service": "It belongs under jupyter or tensorboard.",
        "tolerations": "It belongs under maskrcnn or jupyter or tensorboard.",
    },
    "maskrcnn": {
        "envFrom": "Did you mean env_from?",
        "extraConfig": "Did you mean extra_config?",
        "extraDeploy": "Did you mean extra_deploy?",
        "extraVolumeMounts": "Did you mean extra_volume_mounts?",
        "extraVolumes": "Did you mean extra_volumes?",
        "global": "It belongs at the top level of the file.",
        "imagePullSecret": "Did you mean image_pull_secrets?",
        "imagePullSecrets": "Did you mean image_pull_secrets?",
        "initContainers": "Did you mean init_containers?",
        "namespace": "It belongs under global.",
        "networkPolicy": "Did you mean network_policy?",
        "nodeSelector": "Did you mean node_selector?",
        "podAnnotations": "Did you mean pod_annotations?",
        "podLabels": "Did you mean pod_labels?",
        "runAsGroup": "Did you mean run_as_group?",
        "runAsUser": "Did you mean run_as_user?",
        "schedulerName": "Did you mean scheduler_name?",
        "serviceAccount": "Did you mean service_account?",
        "terminationGracePeriodSeconds": "Did you mean termination_grace_period_seconds?",
    },
    "jupyter": {
        "imagePullSecret": "Did you mean image_pull_secrets?",
        "imagePullSecrets": "Did you mean image_pull_secrets?",
        "namespace": "It belongs under global.",
        "networkPolicy": "Did you mean network_policy?",
        "nodeSelector": "Did you mean node_selector?",
        "ports": "Did you mean port?",
        "runAsGroup": "Did you mean run_as_group?",
        "runAsUser": "Did you mean run_as_user?",
        "services": "Did you mean service?",
    },
    "tensorboard": {
        "imagePullSecret": "Did you mean image_pull_secrets?",
        "imagePullSecrets": "Did you mean image_pull_secrets?",
        "namespace": "It belongs under global.",
        "networkPolicy": "Did you mean network_policy?",
        "nodeSelector": "Did you mean node_selector?",
        "ports": "Did you mean port?",
        "runAsGroup": "Did you mean run_as_group?",
        "runAsUser": "Did you mean run_as_user?",
        "services": "Did you mean service?",
    },
}
"""Every suggestion for these keys, by section. All were reviewed; review a new one before adding it here."""


@pytest.mark.parametrize("section", EXPECTED)
def test_a_key_of_another_chart_gets_the_right_suggestion_or_none(section: str, tmp_path: Path) -> None:
    names = sorted(set(NAMES) - {"" if section else "global"})
    assert len(names) > 300
    indent = "  " if section else ""
    text = f"{section}:\n" if section else ""
    file = tmp_path / "values.yaml"
    file.write_text(text + "".join(f"{indent}{name}: 1\n" for name in names))
    suggestions = {
        str(finding.path[-1]): finding.fix
        for finding in check(CHART, [file]).findings
        if finding.rule == "MRC003" and re.search("did you mean|belongs", finding.fix, re.IGNORECASE)
    }
    assert suggestions == {name: fix for name, fix in EXPECTED[section].items() if name in names}


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("maskrcnn: {gpus_per_nod: 8}", "Did you mean gpus_per_node?"),
        ("maskrcnn: {node-group: p4d}", "Did you mean node_group?"),
        ("maskrcnn: {stesp_per_epoch: 8}", "Did you mean steps_per_epoch?"),
        ("maskrcnn: {shared_fs: fsx}", "It belongs under global."),
        ("gpus: 8", "It belongs under maskrcnn or jupyter."),
        ("maskrcnn: {jupyter: {enabled: true}}", "It belongs at the top level of the file."),
        ("maskrcnn: {replicas: 2}", "values.schema.json lists all of them."),
    ],
)
def test_a_typo_or_a_forgotten_section_is_named(text: str, fix: str, tmp_path: Path) -> None:
    assert [f.fix for f in checked(tmp_path, text).findings if f.rule == "MRC003"] == [fix]


@pytest.mark.parametrize("value", ["p5.48xlarge", "p6", "g7e", "trn1"])
def test_a_node_group_that_exists_elsewhere_is_not_a_typo(value: str, tmp_path: Path) -> None:
    (finding,) = checked(tmp_path, f"maskrcnn: {{node_group: {value}}}").findings
    assert finding.fix.startswith("Set one of p3, p3dn, p4d,")


def test_only_the_invalid_name_in_env_is_reported(tmp_path: Path) -> None:
    (finding,) = checked(tmp_path, "maskrcnn: {env: {GOOD: '1', 1BAD: '2'}}").findings
    assert finding.path == ("maskrcnn", "env", "1BAD")
    assert finding.message == "the key does not have the right format."


def test_a_null_image_is_reported_beside_a_schema_error(tmp_path: Path) -> None:
    result = checked(tmp_path, "maskrcnn: {image: null, gpus: few}", base="maskrcnn: {node_group: p4d}\n")
    assert rule_ids(result) == {"MRC020", "MRC004"}


def test_a_url_is_not_a_path(tmp_path: Path) -> None:
    assert lines(checked(tmp_path, "maskrcnn: {data_dir: 's3://bucket/coco'}")) == [
        "values.yaml:1:22: error MRC031 maskrcnn.data_dir: s3://bucket/coco is a URL, but the trainer reads "
        "from a mounted file system. Copy the data there and set the path relative to the root of the file "
        "system."
    ]


def test_a_boolean_that_must_be_a_string_is_reported_with_quotes(tmp_path: Path) -> None:
    (finding,) = checked(tmp_path, "maskrcnn: {node_selector: {dedicated: true}}").findings
    assert (finding.message, finding.fix) == ("true is not a string.", 'Put it in quotes: "true".')


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.id) for rule in RULES.values()])
def test_a_fix_names_only_existing_values(rule: Rule, tmp_path: Path) -> None:
    schema = (CHART / "values.schema.json").read_text()
    for finding in checked(tmp_path, rule.failing).findings:
        for name in re.findall(r"\b(?:maskrcnn|global|jupyter|tensorboard)(?:\.[a-z_]+)+", finding.fix):
            assert all(f'"{part}"' in schema for part in name.split(".")), finding.fix


def test_values_of_the_tutorials_newest_chart_are_told_where_they_belong() -> None:
    file = Path(__file__).with_name("mpijob_horovod.yaml")
    unknown = [finding for finding in check(CHART, [file]).findings if finding.rule == "MRC003"]
    fixes = {str(finding.path[0]): finding.fix for finding in unknown}
    assert fixes == {
        "image": "It belongs under maskrcnn or jupyter or tensorboard.",
        "image_pull_policy": "It belongs under maskrcnn or jupyter or tensorboard.",
        "backoff_limit": "It belongs under maskrcnn.",
        "pre_script": "Put preparations into the container image, or into maskrcnn.init_containers.",
        "post_script": "There is no value for commands after the training.",
        "resources": "These are maskrcnn.gpu_nodes, gpus_per_node and node_group. Set maskrcnn.gpus too.",
        "pvc": "Set maskrcnn.data_fs and data_pvc, and global.shared_fs and shared_pvc.",
        "git": "Put the code into the container image, maskrcnn.image.",
        "train": "Its script is maskrcnn.train_script; its arguments are values under maskrcnn.",
        "horovod": "These are maskrcnn.horovod_autotune and maskrcnn.horovod_log_level.",
        "nccl": "These are maskrcnn.nccl_socket_ifname and maskrcnn.nccl_debug.",
        "tensorflow": "These are maskrcnn.tf_device_min_sys_mem_mb and tf_enable_auto_mixed_precision; "
        "set the others as variables in maskrcnn.env.",
        "mpirun": "These are maskrcnn.env and maskrcnn.mpirun_args.",
    }
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = schema["properties"]["maskrcnn"]["properties"]
    for fix in fixes.values():
        for name in re.findall(r"maskrcnn\.(\w+)", fix):
            assert name in known, name
