"""Mistakes that the chart refuses, with a message that names the value and says what to do."""

from typing import Any

import pytest
from maskrcnn_chart import run
from mrc_values.helm import RenderError

TEMPLATE_REFUSES: list[tuple[dict[str, Any], str]] = [
    (
        {"gpus": None},
        "maskrcnn.gpus is null and has to have a value. Set it, or leave it out to have the default",
    ),
    ({"launcher": None}, "maskrcnn.launcher is null and has to have a value."),
    ({"global_": {"shared_fs": None}}, "global.shared_fs is null and has to have a value."),
    (
        {"image": ""},
        "maskrcnn.image is not set. Give the image of the trainer, for example --set maskrcnn.image=",
    ),
    ({"image": None}, "maskrcnn.image is not set."),
    (
        {"gpus": 20},
        "maskrcnn.gpus: 20 is not a multiple of 8, maskrcnn.gpus_per_node. Set maskrcnn.gpus to 16 or 24, "
        "or maskrcnn.gpus_per_node to a divisor of 20",
    ),
    (
        {"gpus": 4},
        "maskrcnn.gpus: 4 is not a multiple of 8, maskrcnn.gpus_per_node. Set maskrcnn.gpus to 8, or",
    ),
    (
        {"gpu_nodes": 3},
        "maskrcnn.gpu_nodes: 3 nodes of 8 GPUs are not 16, maskrcnn.gpus. Set maskrcnn.gpu_nodes to 2, "
        "or maskrcnn.gpus to 24",
    ),
    (
        {"node_group": "p4d", "gpus": 16, "gpus_per_node": 16},
        "maskrcnn.gpus_per_node: 16 is more than the 8 of a node of p4d.24xlarge. Set it to 8",
    ),
    (
        {"node_group": "p4"},
        "maskrcnn.node_group: p4 is not in the catalogue. Set one of g4dn, g5, g5-xlarge, p3, p3dn, p4d",
    ),
    ({"gpu_instance_type": "p9.large"}, "maskrcnn.gpu_instance_type: p9.large is not in the catalogue. Set"),
    (
        {"node_group": "p3dn", "efa": 4},
        "maskrcnn.efa: 4 is more than the 1 EFA interfaces of a node of p3dn.24xlarge. Leave it null",
    ),
    (
        {"hugepages": "5120Mi"},
        "maskrcnn.hugepages: Kubernetes takes huge pages only beside a memory limit. Set",
    ),
    (
        {"data_pvc": "other"},
        "maskrcnn.data_pvc: other and tensorpack-efs-gp-bursting are two claims of one file system, efs. Set",
    ),
    (
        {"data_fs": "fsx", "data_pvc": "tensorpack-efs-gp-bursting"},
        "maskrcnn.data_pvc: tensorpack-efs-gp-bursting is the claim of efs already (global.shared_pvc)",
    ),
    (
        {"global_": {"shared_fs": "fsx", "shared_pvc": "tensorpack-efs-gp-bursting"}},
        "global.shared_pvc: tensorpack-efs-gp-bursting is the claim of efs, and global.shared_fs is fsx. Set",
    ),
    (
        {"namespace": "vision"},
        "global.namespace: the release goes to the namespace vision, its objects to kubeflow. "
        "Run helm with --namespace kubeflow, or set global.namespace to",
    ),
    ({"env": {"SHARED_FS": "/x"}}, "maskrcnn.env: SHARED_FS is set by the chart. Take it out"),
]


@pytest.mark.parametrize(("values", "message"), TEMPLATE_REFUSES)
def test_a_template_refuses_with_the_value_and_the_way_out(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RenderError) as refused:
        run(**values)
    assert message in refused.value.message


SCHEMA_REFUSES: list[tuple[dict[str, Any], str]] = [
    ({"gpu": 8}, "'gpu' not allowed"),
    ({"global_": {"shared_fs": "s3"}}, "/global/shared_fs"),
    ({"global_": {"shard_fs": "efs"}}, "'shard_fs' not allowed"),
    ({"global_": {"namespace": "Kubeflow"}}, "/global/namespace"),
    ({"gpus": "16"}, "/maskrcnn/gpus"),
    ({"gpus": 0}, "/maskrcnn/gpus"),
    ({"gpus": 1.5}, "/maskrcnn/gpus"),
    ({"gpus_per_node": -8}, "/maskrcnn/gpus_per_node"),
    ({"device": "tpu"}, "/maskrcnn/device"),
    ({"name": "Mask_RCNN"}, "/maskrcnn/name"),
    ({"run": "second run"}, "/maskrcnn/run"),
    ({"image": "trainer: 1"}, "/maskrcnn/image"),
    ({"image_pull_policy": "Sometimes"}, "/maskrcnn/image_pull_policy"),
    ({"working_dir": "src"}, "/maskrcnn/working_dir"),
    ({"data_fs": "nfs"}, "/maskrcnn/data_fs"),
    ({"data_pvc": "My Claim"}, "/maskrcnn/data_pvc"),
    ({"data_dir": "/efs/data"}, "/maskrcnn/data_dir"),
    ({"backbone_weights": "/efs/r50.npz"}, "/maskrcnn/backbone_weights"),
    ({"steps_per_epoch": 7500.5}, "/maskrcnn/steps_per_epoch"),
    ({"mode_mask": "yes"}, "/maskrcnn/mode_mask"),
    ({"base_lr": "high"}, "/maskrcnn/base_lr"),
    ({"base_lr": -0.01}, "/maskrcnn/base_lr"),
    ({"lr_schedule": [0]}, "/maskrcnn/lr_schedule/0"),
    ({"lr_epoch_schedule": [[16]]}, "/maskrcnn/lr_epoch_schedule/0"),
    ({"extra_config": "CHECKPOINT"}, "/maskrcnn/extra_config"),
    ({"extra_config": {"TRAIN.SEED": 1}}, "/maskrcnn/extra_config"),
    ({"horovod_log_level": "loud"}, "/maskrcnn/horovod_log_level"),
    ({"horovod_cycle_time": "fast"}, "/maskrcnn/horovod_cycle_time"),
    ({"memory": "lots"}, "/maskrcnn/memory"),
    ({"hugepages": 5120}, "/maskrcnn/hugepages"),
    ({"efa": -1}, "/maskrcnn/efa"),
    ({"env": {"A": True}}, "/maskrcnn/env/A"),
    ({"env": {"A-B": "1"}}, "/maskrcnn/env"),
    ({"env": [{"name": "A", "value": "1"}]}, "/maskrcnn/env"),
    ({"backoff_limit": 2000}, "/maskrcnn/backoff_limit"),
    ({"run_as_user": -1}, "/maskrcnn/run_as_user"),
    ({"tolerations": [{"keys": "a"}]}, "'keys' not allowed"),
    ({"launcher": {"memory": "2Gi"}}, "'memory' not allowed"),
    ({"gang": "yes"}, "/maskrcnn/gang"),
]


@pytest.mark.parametrize(("values", "place"), SCHEMA_REFUSES)
def test_the_schema_refuses_with_the_place(values: dict[str, Any], place: str) -> None:
    with pytest.raises(RenderError) as refused:
        run(**values)
    assert "values don't meet the specifications of the schema" in refused.value.message
    assert place in refused.value.message
