"""How a run is shown, the same on this machine and in a cluster."""

from mrc_cli.terminal import clock

from mrc_values.local.progress import Progress

HEADER = ("run", "state", "ranks", "step", "epoch", "loss", "images/s", "ETA", "checkpoint", "evaluation")

_HEADLINES = {
    "bbox/AP50": "box AP50",
    "mAP(bbox)/IoU=0.5": "box AP50",
    "segm/AP50": "mask AP50",
    "mAP(segm)/IoU=0.5": "mask AP50",
}


def cells(
    name: str,
    state: str,
    ranks: str,
    reached: Progress,
    checkpoint: str,
    evaluation: dict[str, float],
    *,
    running: bool,
) -> tuple[str, ...]:
    """A row under HEADER; what is not known stays empty, and only a run that goes on has an ETA."""
    eta = clock(reached.eta_seconds) if reached.eta_seconds is not None and running else ""
    return (
        name,
        state,
        ranks,
        "" if reached.step is None else f"{reached.step}/{reached.steps}",
        "" if reached.epoch is None else f"{reached.epoch}/{reached.epochs}",
        "" if reached.loss is None else f"{reached.loss:.4f}",
        "" if reached.images_per_second is None else f"{reached.images_per_second:.1f}",
        eta,
        checkpoint,
        "  ".join(f"{metric} {value:.3f}" for metric, value in headline(evaluation).items()),
    )


def headline(evaluation: dict[str, float]) -> dict[str, float]:
    """Of all metrics the ones that people quote: box and mask AP at IoU 0.5."""
    return {
        key.removesuffix(name) + short: value
        for key, value in evaluation.items()
        for name, short in _HEADLINES.items()
        if key.endswith(name)
    }
