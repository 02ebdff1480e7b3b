"""The launcher's command: environment, mpirun's flags, the trainer's settings."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from maskrcnn_chart import CHART, Run, expand, run
from mrc_train.config import parse
from mrc_train.cpu_environment import CPU_ENVIRONMENT
from rendering import CHARTS

PLAIN = {"TRAINER", "DATA.BASEDIR"}
NOTHING: dict[str, Any] = dict.fromkeys(
    [
        "mode_fpn",
        "mode_mask",
        "data_train",
        "data_val",
        "steps_per_epoch",
        "lr_schedule",
        "base_lr",
        "eval_period_in_epochs",
        "backbone_norm",
        "backbone_weights",
        "batch_size_per_gpu",
        "images_per_epoch",
        "lr_epoch_schedule",
        "gradient_clip",
        "extra_config",
    ]
)


def keys(rendered: Run) -> list[str]:
    return [item.split("=")[0] for item in rendered.settings]


def test_the_trainer_parses_every_setting_as_intended() -> None:
    rendered = run(
        mode_mask=False,
        data_train=["coco_train2014", "coco_valminusminival2014"],
        data_val='("coco_minival2014")',
        steps_per_epoch=15000,
        lr_schedule=[240000, 320000, 360000],
        eval_period_in_epochs=2,
        backbone_norm="GN",
        backbone_weights="weights/r50.npz",
        base_lr=0.0015625,
        batch_size_per_gpu=4,
        images_per_epoch=120000,
        lr_epoch_schedule=[[16, 0.1], [20, 0.01], [24, None]],
        gradient_clip=0.36,
        extra_config="TRAIN.CHECKPOINT_PERIOD=2 PREPROC.TRAIN_SHORT_EDGE_SIZE=[640, 800]",
    )
    config = parse(expand(item, {"DATA_FS": "/fsx"}) for item in rendered.settings)
    assert config.TRAINER == "horovod"
    assert (config.MODE_MASK, config.MODE_FPN) == (False, True)
    assert Path("/fsx/data") == config.DATA.BASEDIR
    assert config.DATA.TRAIN == ("coco_train2014", "coco_valminusminival2014")
    assert config.DATA.VAL == ("coco_minival2014",)
    assert (config.BACKBONE.NORM, config.BACKBONE.WEIGHTS) == ("GN", "/fsx/weights/r50.npz")
    train = config.TRAIN
    assert (train.STEPS_PER_EPOCH, train.IMAGES_PER_EPOCH, train.BATCH_SIZE_PER_GPU) == (15000, 120000, 4)
    assert (train.LR_SCHEDULE, train.EVAL_PERIOD) == ((240000, 320000, 360000), 2)
    assert train.LR_EPOCH_SCHEDULE == ((16, 0.1), (20, 0.01), (24, None))
    assert (train.BASE_LR, train.GRADIENT_CLIP, train.CHECKPOINT_PERIOD) == (0.0015625, 0.36, 2)
    assert config.PREPROC.TRAIN_SHORT_EDGE_SIZE == (640, 800)


def test_the_trainer_accepts_the_default_values() -> None:
    config = parse(expand(item, {"DATA_FS": "/efs"}) for item in run().settings)
    assert config.DATA.TRAIN == ("coco_train2017",)
    assert config.TRAIN.STEPS_PER_EPOCH * 16 == 120000


def test_a_setting_that_is_null_passes_nothing() -> None:
    assert set(keys(run(**NOTHING))) == PLAIN


def test_a_setting_that_is_empty_passes_nothing() -> None:
    texts: dict[str, Any] = dict.fromkeys(
        ("mode_fpn", "lr_schedule", "data_val", "backbone_norm", "base_lr"), ""
    )
    assert not {"MODE_FPN", "TRAIN.LR_SCHEDULE", "DATA.VAL", "BACKBONE.NORM", "TRAIN.BASE_LR"} & set(
        keys(run(**texts))
    )


@pytest.mark.parametrize(
    ("value", "key", "text"),
    [
        ({"steps_per_epoch": 9437184}, "TRAIN.STEPS_PER_EPOCH", "9437184"),
        ({"eval_period_in_epochs": 0}, "TRAIN.EVAL_PERIOD", "0"),
        ({"base_lr": 0.0015625}, "TRAIN.BASE_LR", "0.0015625"),
        ({"base_lr": "1e-2"}, "TRAIN.BASE_LR", "1e-2"),
        ({"gradient_clip": 5}, "TRAIN.GRADIENT_CLIP", "5"),
        ({"lr_schedule": [1200000, 16000000]}, "TRAIN.LR_SCHEDULE", "[1200000, 16000000]"),
        (
            {"lr_epoch_schedule": [[16, 0.1], [24, None]]},
            "TRAIN.LR_EPOCH_SCHEDULE",
            "[[16, 0.1], [24, None]]",
        ),
        ({"lr_schedule": "[240000,320000]"}, "TRAIN.LR_SCHEDULE", "[240000,320000]"),
        ({"mode_mask": "True"}, "MODE_MASK", "True"),
        ({"mode_mask": True}, "MODE_MASK", "True"),
        ({"mode_mask": False}, "MODE_MASK", "False"),
        ({"data_train": ["a", 'b"<']}, "DATA.TRAIN", '["a", "b\\"<"]'),
    ],
)
def test_a_value_reaches_the_trainer_as_it_was_written(value: dict[str, Any], key: str, text: str) -> None:
    assert run(**value).setting(key) == text


@pytest.mark.parametrize(
    ("extra", "settings"),
    [
        ("A.B=1", ["A.B=1"]),
        ("A.B=[1, 2]  C_D=x\nE=('f', 'G=1')", ["A.B=[1, 2]", "C_D=x", "E=('f', 'G=1')"]),
        ("A.B=two Words C=3", ["A.B=two Words", "C=3"]),
        (["A.B=1", " C=two words "], ["A.B=1", "C=two words"]),
        ("", []),
        ([], []),
        ("  ", []),
    ],
)
def test_extra_settings_come_last_from_a_string_or_a_list(extra: Any, settings: list[str]) -> None:
    assert run(**{**NOTHING, "extra_config": extra}).settings[len(PLAIN) :] == settings


@pytest.mark.parametrize(
    ("values", "name", "text"),
    [
        ({}, "HOROVOD_FUSION_THRESHOLD", "67108864"),
        ({"device": "cpu"}, "HOROVOD_FUSION_THRESHOLD", "4194304"),
        ({"horovod_fusion_threshold": 67108864}, "HOROVOD_FUSION_THRESHOLD", "67108864"),
        ({"horovod_fusion_threshold": 0}, "HOROVOD_FUSION_THRESHOLD", "0"),
        ({}, "HOROVOD_CYCLE_TIME", "0.5"),
        ({"device": "cpu"}, "HOROVOD_CYCLE_TIME", "10"),
        ({"device": "cpu", "horovod_cycle_time": 2}, "HOROVOD_CYCLE_TIME", "2"),
        ({"device": "cpu"}, "TF_ENABLE_ONEDNN_OPTS", "1"),
        ({"device": "cpu", "env": {"TF_ENABLE_ONEDNN_OPTS": 0}}, "TF_ENABLE_ONEDNN_OPTS", "0"),
        ({"horovod_autotune": True}, "HOROVOD_AUTOTUNE", "1"),
        ({"horovod_autotune": "False"}, "HOROVOD_AUTOTUNE", "0"),
        ({"horovod_log_level": "warning"}, "HOROVOD_LOG_LEVEL", "warning"),
        ({}, "NCCL_SOCKET_IFNAME", "^lo,docker0"),
        ({"nccl_min_rings": 8}, "NCCL_MIN_NRINGS", "8"),
        ({}, "NCCL_DEBUG", "INFO"),
        ({"node_group": "g5"}, "NCCL_SHM_USE_CUDA_MEMCPY", "1"),
        ({"node_group": "p4d", "fi_provider": "tcp"}, "FI_PROVIDER", "tcp"),
        ({"node_group": "p4d", "fi_efa_fork_safe": 0}, "FI_EFA_FORK_SAFE", "0"),
        ({"fi_efa_use_device_rdma": "True"}, "FI_EFA_USE_DEVICE_RDMA", "1"),
        ({"tf_device_min_sys_mem_mb": 2560}, "TF_DEVICE_MIN_SYS_MEMORY_IN_MB", "2560"),
        ({"tf_enable_auto_mixed_precision": 1}, "TF_ENABLE_AUTO_MIXED_PRECISION", "1"),
        ({"xla": True}, "TF_XLA_FLAGS", "--tf_xla_auto_jit=2"),
        ({"env": {"NCCL_ALGO": "Ring"}}, "NCCL_ALGO", "Ring"),
        ({"env": {"NCCL_BUFFSIZE": 67108864}}, "NCCL_BUFFSIZE", "67108864"),
        ({"env": {"NCCL_DEBUG": "WARN"}}, "NCCL_DEBUG", "WARN"),
        (
            {"env": {"TOKEN": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}}},
            "TOKEN",
            {"secretKeyRef": {"name": "a", "key": "b"}},
        ),
    ],
)
def test_an_environment_variable_is_set_once_and_exported_to_the_ranks(
    values: dict[str, Any], name: str, text: Any
) -> None:
    rendered = run(**values)
    assert [entry["name"] for entry in rendered.launcher["env"]].count(name) == 1
    assert rendered.env[name] == text
    assert rendered.exported.count(name) == 1


def test_a_node_groups_fusion_threshold_takes_precedence_over_the_charts(tmp_path: Path) -> None:
    shutil.copytree(CHARTS, tmp_path / "charts", symlinks=True)
    chart = tmp_path / "charts" / CHART.name
    groups = yaml.safe_load((chart / "files" / "common" / "node-groups.yaml").read_text())
    groups["g5"]["env"] = {"HOROVOD_FUSION_THRESHOLD": "1"}
    (chart / "files" / "common" / "node-groups.yaml").write_text(yaml.safe_dump(groups))

    assert run(chart=chart, node_group="g5").env["HOROVOD_FUSION_THRESHOLD"] == "1"
    assert run(chart=chart, node_group="p4d").env["HOROVOD_FUSION_THRESHOLD"] == "67108864"


def test_on_cpus_the_trainers_defaults_hold_for_other_trainers_as_well() -> None:
    chosen = {name: value for name, value in CPU_ENVIRONMENT.items() if name != "TF_DETERMINISTIC_OPS"}
    assert chosen.items() <= run(device="cpu").env.items()


def test_null_removes_a_variable() -> None:
    rendered = run(env={"NCCL_DEBUG": None, "HOROVOD_CYCLE_TIME": None})
    assert not {"NCCL_DEBUG", "HOROVOD_CYCLE_TIME"} & (set(rendered.env) | set(rendered.exported))


def test_ranks_get_the_launchers_path_and_directories_too() -> None:
    assert {"PATH", "LD_LIBRARY_PATH", "SHARED_FS", "DATA_FS"} <= set(run().exported)


def test_workers_have_no_environment_since_an_ssh_session_does_not_inherit_it() -> None:
    assert "env" not in run().worker


@pytest.mark.parametrize(
    ("values", "on"),
    [
        ({}, False),
        ({"fp16": "True"}, True),
        ({"tp_16": 1}, True),
        ({"tp_16": 0}, False),
        ({"tp_16": 1, "fp16": False}, False),
        ({"tp_16": 1, "fp16": ""}, True),
    ],
)
def test_half_precision_is_a_flag_before_the_settings_and_a_variable(
    values: dict[str, Any], on: bool
) -> None:
    rendered = run(**values)
    args = rendered.launcher["args"]
    assert ("--fp16" in args[args.index("--logdir") : args.index("--config")]) == on
    assert ("TENSORPACK_FP16" in rendered.exported) == on


def test_images_per_epoch_is_a_flag_for_a_script_of_the_images_own() -> None:
    # AWS's train.py has --images_per_epoch and rejects a configuration key that it does not know.
    rendered = run(images_per_epoch=120000, train_script="/mask-rcnn-tensorflow/MaskRCNN/train.py")
    args = rendered.launcher["args"]
    assert args[args.index("--config") - 2 : args.index("--config")] == ["--images_per_epoch", "120000"]
    assert "TRAIN.IMAGES_PER_EPOCH" not in keys(rendered)


def test_kubernetes_expands_every_path_to_the_mounted_directories() -> None:
    rendered = run(data_fs="fsx")
    env: dict[str, str] = {}
    for entry in rendered.launcher["env"]:
        env[entry["name"]] = expand(entry["value"], env)
    args = [expand(arg, env) for arg in rendered.launcher["args"]]
    assert args[args.index("--logdir") + 1] == "/efs/kubeflow/demo" == env["RUN_DIR"]
    assert args[args.index("--output-filename") + 1] == "/efs/kubeflow/demo/ranks"
    assert "DATA.BASEDIR=/fsx/data" in args
    assert args[args.index("plm_rsh_args") + 1] == env["SSH_OPTIONS"]
    assert not [arg for arg in args if "$(" in arg]


def test_kubernetes_does_not_expand_the_launch_script() -> None:
    rendered = run()
    script = (CHART / "files" / "launch.sh").read_text()
    shell, flag, text, name = rendered.launcher["command"]
    assert (shell, flag, name) == ("/bin/bash", "-c", "launch")
    assert text.strip() == script.strip()
    assert expand(text, rendered.env) == text
