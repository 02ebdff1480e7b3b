"""Findings for complete files: exact text, position and order."""

from pathlib import Path

import pytest
from mrc_values.check import check
from values_files import CHART, checked, lines, rule_ids

BROKEN = sorted(Path(__file__).with_name("broken").glob("*.yaml"))


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_a_broken_file_has_the_expected_findings(file: Path) -> None:
    assert lines(check(CHART, [file])) == file.with_suffix(".txt").read_text().splitlines()


def test_a_finding_about_a_value_set_by_a_flag_names_the_flag(tmp_path: Path) -> None:
    assert lines(checked(tmp_path, "", "maskrcnn.gpus=20")) == [
        "--set maskrcnn.gpus=20: error MRC014 maskrcnn.gpus: "
        "20 is not a multiple of 8, the GPUs of a p4d node. Set gpus to 16 or 24."
    ]


def test_a_finding_about_a_list_item_changed_by_a_flag_names_the_flag(tmp_path: Path) -> None:
    text = "maskrcnn:\n  extra_config: [TRAIN.WARMUP=500, TRAIN.CHECKPOINT_PERIOD=2]\n"
    result = checked(tmp_path, text, "maskrcnn.extra_config[1]=TRAIN.WARMUB=1")
    assert [line.split(": ")[:2] for line in lines(result)] == [
        ["--set maskrcnn.extra_config[1]=TRAIN.WARMUB=1", "error MRC060 maskrcnn.extra_config[1]"]
    ]


@pytest.mark.parametrize(
    ("text", "only"),
    [
        ("maskrcnn: {gpus_per_node: 1000000, gpus: 16}", "MRC004 maskrcnn.gpus_per_node"),
        ("maskrcnn: {gpus: -16, gpu_nodes: 2}", "MRC004 maskrcnn.gpus"),
        ("maskrcnn: {data_fs: 7, data_pvc: team-fsx}", "MRC004 maskrcnn.data_fs"),
        ("maskrcnn: {data_fss: fsx, data_pvc: team-fsx}", "MRC003 maskrcnn.data_fss"),
        ("jupyter: {enabled: true, imag: 'a/b:1'}", "MRC003 jupyter.imag"),
    ],
)
def test_consequences_of_a_rejected_or_misspelled_value_are_not_reported(
    text: str, only: str, tmp_path: Path
) -> None:
    errors = [f for f in checked(tmp_path, text).findings if f.severity == "error"]
    assert [f"{f.rule} {'.'.join(map(str, f.path))}" for f in errors] == [only]


def test_a_string_in_place_of_a_section_is_found_although_a_flag_replaces_it(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("maskrcnn:\n  gpus:16\n")
    result = check(CHART, [file], ["maskrcnn.gpus=16", "maskrcnn.image=a/b:1", "maskrcnn.node_group=p4d"])
    assert [line[:36] for line in lines(result)] == ["values.yaml:2:3: error MRC004 maskrc"]


def test_a_quoted_boolean_is_reported_with_the_unquoted_value(tmp_path: Path) -> None:
    (finding,) = checked(tmp_path, "maskrcnn: {gang: 'True'}").findings
    assert finding.fix == "Write it without quotes: true."


def test_the_later_of_two_files_takes_precedence_and_is_named(tmp_path: Path) -> None:
    result = checked(
        tmp_path, "maskrcnn:\n  gpus: 20\n", base="maskrcnn: {image: 'a/b:1', node_group: p4d, gpus: 16}"
    )
    assert [line.split(":")[:3] for line in lines(result)] == [["values.yaml", "2", "9"]]


def test_a_value_from_a_merge_key_is_reported_where_it_is_written(tmp_path: Path) -> None:
    text = "maskrcnn:\n  env: &nccl\n    GPUS: 1.10\n  launcher:\n    node_selector:\n      <<: *nccl\n"
    assert [line.split(" ")[:4] for line in lines(checked(tmp_path, text))] == [
        ["values.yaml:3:11:", "error", "MRC004", "maskrcnn.launcher.node_selector.GPUS:"],
        ["values.yaml:3:11:", "warning", "MRC070", "maskrcnn.env.GPUS:"],
    ]


def test_the_merged_mapping_that_helm_uses_is_the_reported_one(tmp_path: Path) -> None:
    env, launcher = "{A: &a {GPUS: 1.10}, B: &b {GPUS: 2.20}}", "{node_selector: {<<: [*a, *b]}}"
    text = f"maskrcnn:\n  env: {env}\n  launcher: {launcher}\n"
    merged = [f for f in checked(tmp_path, text).findings if f.path[-2:] == ("node_selector", "GPUS")]
    assert [(f.position.column, f.message.split()[0]) for f in merged] == [(22, "1.1")]


def test_findings_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "maskrcnn:\n  lr_schedule: '[3, 2]'\n  gpus: 20\n  data_dir: /data\n  zzz: 1\n  aaa: 1\n"
    assert [finding.position.line for finding in checked(tmp_path, text).findings] == [2, 3, 4, 5, 6]


def test_a_default_is_reported_in_the_section_where_the_user_would_change_it(tmp_path: Path) -> None:
    text = "global: {}\n\nmaskrcnn:\n  gpus: 64\n"
    finding = next(finding for finding in checked(tmp_path, text).findings if finding.rule == "MRC064")
    assert (finding.position.line, finding.position.column) == (3, 1)


def test_a_missing_image_is_one_finding_and_does_not_hide_others(tmp_path: Path) -> None:
    result = checked(
        tmp_path, "maskrcnn: {env: {A: {valueFrom: {nonsense: {}}}}}", base="maskrcnn: {node_group: p4d}"
    )
    assert [finding.rule for finding in result.findings] == ["MRC020", "MRC007"]


@pytest.mark.parametrize(
    "text", ["maskrcnn: {env: INFO}", "maskrcnn: {launcher: {resources: 2Gi}}", "global: kubeflow"]
)
def test_a_scalar_in_place_of_a_section_is_found_although_helm_ignores_it(text: str, tmp_path: Path) -> None:
    assert rule_ids(checked(tmp_path, text)) == {"MRC004"}


def test_a_trailing_newline_does_not_match_a_pattern_as_in_helm(tmp_path: Path) -> None:
    assert rule_ids(checked(tmp_path, "maskrcnn:\n  queue: |\n    gpu\n")) == {"MRC009"}


def test_a_contradiction_between_two_settings_is_one_finding(tmp_path: Path) -> None:
    values = "maskrcnn: {extra_config: ['FPN.ANCHOR_STRIDES=(4,8,16,32)']}"
    findings = [finding for finding in checked(tmp_path, values).findings if finding.rule == "MRC061"]
    assert [finding.message for finding in findings] == [
        "RPN.ANCHOR_SIZES has 5 entries and FPN.ANCHOR_STRIDES has 4; give one size per level."
    ]
    assert findings[0].path == ("maskrcnn", "extra_config", 0)


def test_extra_config_is_not_checked_when_the_image_has_its_own_script(
    tmp_path: Path,
) -> None:
    script = "train_script: /a/train.py, extra_config: [A.B=1], lr_schedule: soon, backbone_norm: Freeze"
    assert rule_ids(checked(tmp_path, f"maskrcnn: {{{script}}}")) == {"MRC061", "MRC062"}


@pytest.mark.parametrize(
    ("values", "warned"),
    [
        ("base_lr: 0.0015625", True),
        ("base_lr: '0.00125'", True),
        ("extra_config: [TRAIN.BASE_LR=0.0025]", True),
        ("base_lr: 0.01", False),
        ("base_lr: 0.005", False),
        ("base_lr: 0.0001", False),
        ("base_lr: null", False),
        ("base_lr: 0.002, extra_config: [TRAIN.OPTIMIZER=adam]", False),
        ("base_lr: 0.0015625, train_script: /mask-rcnn-tensorflow/MaskRCNN/train.py", False),
    ],
)
def test_a_learning_rate_per_image_is_a_warning(values: str, warned: bool, tmp_path: Path) -> None:
    assert ("MRC080" in rule_ids(checked(tmp_path, f"maskrcnn: {{{values}}}"))) is warned


ECR = "123456789012.dkr.ecr"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("maskrcnn: {data_train: [val2017], data_val: [train2017]}", "error MRC035"),
        ("maskrcnn: {data_train: coco_train2017, data_val: [train2017]}", "warning MRC035"),
        ("maskrcnn: {data_train: '(\"train2017\",)', data_val: '[\"val2017\"]'}", ""),
        ("maskrcnn: {node_group: p3dn, image: 'a/b:2.0-cuda13.0-ubuntu'}", "warning MRC025"),
        ("maskrcnn: {node_group: p3dn, image: 'a/b:2.0-cu129'}", ""),
        ("maskrcnn: {node_group: '', gpu_instance_type: p3.16xlarge}", "warning MRC094"),
        (
            "maskrcnn: {gpus: 1, node_group: g4dn, gpus_per_node: 1}\njupyter: {node_group: p3}",
            "warning MRC094",
        ),
        ("maskrcnn: {node_group: p4d, image: 'a/b:2.0-cu130'}", ""),
        (f"maskrcnn: {{image: '{ECR}.us-west-2.amazonaws.com/a:1'}}", ""),
        (f"maskrcnn: {{image: '{ECR}.uswest2.amazonaws.com/a:1'}}", "error MRC026"),
        (
            f"maskrcnn: {{image: '{ECR}.us-west-2.amazonaws.com/a:1'}}\n"
            f"tensorboard: {{image: '{ECR}.us-east-1.amazonaws.com/b:1'}}",
            "warning MRC026",
        ),
        ("maskrcnn: {tf_device_min_sys_mem_mb: 40960}", "error MRC076"),
        ("maskrcnn: {tf_device_min_sys_mem_mb: 2560}", ""),
        ("maskrcnn: {horovod_fusion_threshold: '0.5'}", "error MRC076"),
        ("maskrcnn: {gpus: 8, efa: 0}", ""),
        ("maskrcnn: {fi_provider: tcp}", "warning MRC092"),
        ("maskrcnn: {gpus_per_node: 1}", "warning MRC092"),
        ("maskrcnn: {gpus_per_node: 2}", ""),
        ("maskrcnn: {gpus_per_node: 1, efa: 1}", ""),
        ("maskrcnn: {image: 'host:5000/mask-rcnn-optimized:v1-gpu'}", "warning MRC027"),
        ("maskrcnn: {image: 'mask-rcnn:v1-gpu-efa'}", ""),
        ("maskrcnn: {image: 'mask-rcnn:v1-gpu', gpus: 8}", ""),
        ("maskrcnn: {image: 'mask-rcnn:v1-gpu', node_group: p3}", "warning MRC094"),
        ("maskrcnn: {image: 'mine/trainer:v1-gpu'}", ""),
        ("maskrcnn: {node_group: p3dn, gpus_per_node: 4}", "warning MRC092"),
        ("maskrcnn: {backoff_limit: 2000}", "warning MRC043"),
        ("global: {source_cidr: '0.0.0.0/1,128.0.0.0/1'}", "warning MRC050"),
        ("global: {source_cidr: '203.0.113.0/24,64.0.0.0/2'}", "warning MRC050"),
        ("global: {source_cidr: '::/0'}", "warning MRC050"),
        (
            "global: {source_cidr: '::/0'}\ntensorboard: {service: {type: LoadBalancer}}",
            "error MRC050",
        ),
        ("global: {source_cidr: '::/0'}\ntensorboard: {ingress: {enabled: true}}", "error MRC050"),
        (
            "global: {source_cidr: '::/0', allow_public: true}\ntensorboard: {service: {type: LoadBalancer}}",
            "warning MRC050",
        ),
        ("global: {source_cidr: '2000::/3'}", "warning MRC050"),
        ("global: {source_cidr: '10.0.0.0/8,203.0.113.0/24'}", ""),
        ("maskrcnn: {backoff_limit: -1}", "error MRC004"),
        ("jupyter: {gpu_instance_type: p9.large}", "error MRC090"),
        ("tensorboard: {log_dir: ../other}", "error MRC031"),
    ],
)
def test_rules_beyond_their_examples(text: str, expected: str, tmp_path: Path) -> None:
    rules = [f"{f.severity} {f.rule}" for f in checked(tmp_path, text).findings if f.severity != "info"]
    assert rules == ([expected] if expected else [])


def test_values_of_a_subchart_are_checked_even_when_it_is_switched_off(tmp_path: Path) -> None:
    chart, sub = tmp_path / "chart", tmp_path / "chart" / "charts" / "server"
    sub.mkdir(parents=True)
    (chart / "Chart.yaml").write_text(
        "apiVersion: v2\nname: chart\nversion: 1.0.0\n"
        "dependencies: [{name: server, version: 1.0.0, condition: server.enabled}]\n"
    )
    (chart / "values.yaml").write_text("server: {enabled: false}\n")
    (sub / "Chart.yaml").write_text("apiVersion: v2\nname: server\nversion: 1.0.0\n")
    (sub / "values.yaml").write_text("port: 80\n")
    (sub / "values.schema.json").write_text('{"properties": {"port": {"type": "integer"}}}')
    file = tmp_path / "values.yaml"
    file.write_text("server:\n  port: eighty\n")
    assert lines(check(chart, [file])) == [
        'values.yaml:2:9: error MRC004 server.port: "eighty" is not an integer.'
    ]


def test_workers_without_an_efa_interface_are_reported_with_the_fix(tmp_path: Path) -> None:
    assert lines(checked(tmp_path, "maskrcnn:\n  gpus_per_node: 1\n")) == [
        "values.yaml:2:18: warning MRC092 maskrcnn.gpus_per_node: 8 workers share a p4d node with "
        "4 EFA interfaces, "
        "so they get none and communicate over TCP. Set gpus_per_node to 8, or to at least 2 for "
        "one interface per "
        "worker."
    ]


@pytest.mark.parametrize("name", ["tutorial-plain", "tutorial-optimized"])
def test_a_values_file_of_the_tutorial_has_no_error_except_the_missing_image(name: str) -> None:
    result = check(CHART, [CHART.parents[1] / "tests" / "charts" / "values" / f"{name}.yaml"])
    assert {finding.rule for finding in result.findings if finding.severity == "error"} <= {"MRC020"}


@pytest.mark.parametrize("file", sorted((CHART / "examples").glob("*.yaml")), ids=lambda file: file.stem)
def test_the_charts_examples_have_no_error_except_the_missing_image(file: Path) -> None:
    assert rule_ids(check(CHART, [file])) <= {"MRC020", "MRC016"}
