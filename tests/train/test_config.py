"""The trainer's settings."""

import pytest
from mrc_train.config import Config, known_keys, parse, parse_literal
from mrc_train.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-2", 0.01),
        ("[240000,320000,360000]", [240000, 320000, 360000]),
        ('("coco_val2017")', "coco_val2017"),
        ("[(16, 0.1), (20, 0.01), (24, None)]", [(16, 0.1), (20, 0.01), (24, None)]),
        ("True", True),
        ("true", True),
        ("null", None),
        ("FreezeBN", "FreezeBN"),
        ("/fsx/data", "/fsx/data"),
        ("__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("2**9**9", "2**9**9"),
    ],
)
def test_a_value_is_a_python_or_yaml_literal_and_never_evaluated(text: str, value: object) -> None:
    assert parse_literal(text) == value


def test_the_tutorials_settings_are_valid() -> None:
    cfg = parse(
        [
            "MODE_MASK=True",
            'DATA.TRAIN=["coco_train2017"]',
            'DATA.VAL=("coco_val2017")',
            "TRAIN.LR_SCHEDULE=[240000,320000,360000]",
            "TRAIN.STEPS_PER_EPOCH=7500",
            "TRAIN.EVAL_PERIOD=1",
            "BACKBONE.NORM=FreezeBN",
            "TRAIN.CHECKPOINT_PERIOD=2",
            "TRAIN.GRADIENT_CLIP=0.36",
            "TRAINER=horovod",
        ]
    )
    assert cfg.TRAIN.LR_SCHEDULE == (240000, 320000, 360000)
    assert cfg.DATA.TRAIN == ("coco_train2017",) and cfg.DATA.VAL == ("coco_val2017",)
    assert cfg.TRAIN.GRADIENT_CLIP == 0.36


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("TRAIN.BASELR=1", "TRAIN.BASELR: no such setting. Did you mean TRAIN.BASE_LR?"),
        ("train.base_lr=1", "train.base_lr: no such setting. Did you mean TRAIN.BASE_LR?"),
        ("TRAIN.XYZZY=1", "TRAIN.XYZZY: no such setting."),
        ("TRAIN.BASE_LR", "'TRAIN.BASE_LR' is not of the form KEY=VALUE"),
        ("TRAIN.BASE_LR=-1", "TRAIN.BASE_LR=-1: input should be greater than 0"),
        ("TRAIN.LR_SCHEDULE=[3,2]", "TRAIN.LR_SCHEDULE=[3, 2] must be steps in rising order"),
        (
            "RPN.ANCHOR_SIZES=(32,64)",
            "RPN.ANCHOR_SIZES has 2 entries and FPN.ANCHOR_STRIDES has 5; give one size per level",
        ),
        ("RPN.FG_RATIO=1.5", "RPN.FG_RATIO=1.5: input should be less than or equal to 1"),
        ("FPN.NORM=BN", "FPN.NORM='BN': input should be 'None' or 'GN'"),
        (
            "BACKBONE.CHANNELS=(2,32,32,32)",
            "BACKBONE.CHANNELS=(2, 32, 32, 32): training would crash on CPUs; give each of the first three "
            "stages 4 or more, with BACKBONE.BLOCK=bottleneck",
        ),
        ("PREPROC.TRAIN_SHORT_EDGE_SIZE=[800,600]", "PREPROC.TRAIN_SHORT_EDGE_SIZE=(800, 600) must rise"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_setting(item: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse([item])
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_an_error_has_every_problem_with_the_settings_that_it_is_about() -> None:
    with pytest.raises(ConfigError) as error:
        parse(["FPN.ANCHOR_STRIDES=(4,8,16,32)", "TRAIN.LR_SCHEDULE=[3,2]"])
    assert [problem.keys for problem in error.value.problems] == [
        ("FPN.ANCHOR_STRIDES", "RPN.ANCHOR_SIZES"),
        ("TRAIN.LR_SCHEDULE",),
    ]
    assert str(error.value) == "; ".join(problem.message for problem in error.value.problems)


@pytest.mark.parametrize(("block", "smallest"), [("bottleneck", 4), ("basic", 16)])
def test_so_few_channels_that_onednn_crashes_are_rejected(block: str, smallest: int) -> None:
    def channels(first: int) -> list[str]:
        return [f"BACKBONE.BLOCK={block}", f"BACKBONE.CHANNELS=({first},{first},{first},4)"]

    parse(channels(smallest))
    with pytest.raises(ConfigError, match=f"first three stages {smallest} or more"):
        parse(channels(smallest - 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["BACKBONE.NORM=GN", "BACKBONE.CHANNELS=(32,48,64,64)"], "BACKBONE.CHANNELS=(32, 48, 64, 64)"),
        (["FPN.NORM=GN", "FPN.NUM_CHANNEL=16"], "FPN.NUM_CHANNEL=16"),
        (
            ["FPN.FRCNN_HEAD_FUNC=fastrcnn_4conv1fc_gn_head", "FPN.FRCNN_CONV_HEAD_DIM=20"],
            "FPN.FRCNN_CONV_HEAD_DIM=20",
        ),
        (["FPN.MRCNN_HEAD_FUNC=maskrcnn_up4conv_gn_head", "MRCNN.HEAD_DIM=8"], "MRCNN.HEAD_DIM=8"),
    ],
)
def test_layers_with_group_norm_need_multiples_of_32_channels(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse(settings)
    assert str(error.value) == f"{message}: group normalization needs multiples of 32 channels"


def test_the_last_of_two_values_for_one_setting_takes_precedence() -> None:
    assert parse(["TRAIN.SEED=1", "TRAIN.SEED=2"]).TRAIN.SEED == 2


def test_settings_survive_the_run_directory() -> None:
    cfg = parse(
        ["BACKBONE.NORM=None", "TRAIN.LR_EPOCH_SCHEDULE=[(16, 0.1), (24, None)]", "DATA.BASEDIR=/data"]
    )
    assert Config.from_yaml(cfg.to_yaml()) == cfg


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("TRAIN.BASE_LR", 1e-2),
        ("TRAIN.WARMUP", 1000),
        ("FRCNN.BATCH_PER_IM", 512),
        ("RPN.PROPOSAL_NMS_THRESH", 0.7),
        ("BACKBONE.RESNET_NUM_BLOCKS", (3, 4, 6, 3)),
        ("FPN.ANCHOR_STRIDES", (4, 8, 16, 32, 64)),
        ("PREPROC.MAX_SIZE", 1333),
        ("TEST.RESULT_SCORE_THRESH", 0.05),
    ],
)
def test_the_defaults_are_those_of_tensorpacks_example(key: str, default: object) -> None:
    assert known_keys()[key].default == default


def test_every_setting_is_described() -> None:
    assert all(field.description for field in known_keys().values())
