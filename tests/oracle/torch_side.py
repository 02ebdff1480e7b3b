"""Reference results of torch and torchvision. Usage: ``python torch_side.py FUNCTION in.npz out.npz``.

The files have maps in NHWC, and weights with the names and shapes of our model. Torch uses NCHW.
"""

import functools
import sys

import numpy as np
import torch
import torchvision
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.rpn import AnchorGenerator, RPNHead
from torchvision.ops import batched_nms, nms, poolers, roi_align

Arrays = dict[str, np.ndarray]

# torchvision's models use RoIAlign without the shift by half a pixel; ours use the aligned version.
poolers.roi_align = functools.partial(roi_align, aligned=True)


class UnroundedAnchors(AnchorGenerator):
    """Anchors that are not rounded to integers, as in tensorpack and in our model."""

    def generate_anchors(self, scales, aspect_ratios, dtype=torch.float32, device="cpu"):
        size, ratio = torch.as_tensor(scales, dtype=dtype), torch.as_tensor(aspect_ratios, dtype=dtype)
        width = (size[None] / ratio.sqrt()[:, None]).flatten()
        height = (size[None] * ratio.sqrt()[:, None]).flatten()
        return torch.stack([-width, -height, width, height], 1) / 2


def nchw(maps: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(maps.transpose(0, 3, 1, 2).copy())


def nhwc(maps: torch.Tensor) -> np.ndarray:
    return maps.numpy().transpose(0, 2, 3, 1)


def normalized(image: np.ndarray) -> torch.Tensor:
    """Convert an image, uint8 (H, W, 3) BGR, to torchvision's model input: float32 (1, 3, H, W) RGB."""
    rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1) / 255.0
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return ((rgb - mean[:, None, None]) / std[:, None, None])[None]


def load_conv(module: torch.nn.Module, weights: Arrays, name: str) -> None:
    module.weight.data = torch.from_numpy(weights[f"{name}/W"].transpose(3, 2, 0, 1).copy())
    if module.bias is not None:
        module.bias.data = torch.from_numpy(weights[f"{name}/b"])


def load_norm(module: torch.nn.Module, weights: Arrays, name: str) -> None:
    names = {"weight": "gamma", "bias": "beta", "running_mean": "mean/EMA", "running_var": "variance/EMA"}
    for theirs, ours in names.items():
        getattr(module, theirs).data = torch.from_numpy(weights[f"{name}/bn/{ours}"])


def load_dense(module: torch.nn.Module, weights: Arrays, name: str) -> None:
    module.weight.data = torch.from_numpy(weights[f"{name}/W"].T.copy())
    module.bias.data = torch.from_numpy(weights[f"{name}/b"])


def load_resnet(body: torch.nn.Module, weights: Arrays) -> None:
    load_conv(body.conv1, weights, "conv0")
    body.conv1.weight.data = body.conv1.weight.data.flip(1)  # our model has BGR inputs
    load_norm(body.bn1, weights, "conv0")
    for group in range(4):
        for number, block in enumerate(getattr(body, f"layer{group + 1}")):
            prefix = f"group{group}/block{number}"
            for k in (1, 2, 3):
                load_conv(getattr(block, f"conv{k}"), weights, f"{prefix}/conv{k}")
                load_norm(getattr(block, f"bn{k}"), weights, f"{prefix}/conv{k}")
            if block.downsample is not None:
                load_conv(block.downsample[0], weights, f"{prefix}/convshortcut")
                load_norm(block.downsample[1], weights, f"{prefix}/convshortcut")


def load_rpn(head: torch.nn.Module, weights: Arrays) -> None:
    load_conv(head.conv[0][0], weights, "rpn/conv0")
    load_conv(head.cls_logits, weights, "rpn/class")
    load_conv(head.bbox_pred, weights, "rpn/box")


def mask_rcnn(weights: Arrays) -> torch.nn.Module:
    """torchvision's maskrcnn_resnet50_fpn for 91 classes, with the weights of our model."""
    anchors = UnroundedAnchors(tuple((s,) for s in (32, 64, 128, 256, 512)), ((0.5, 1.0, 2.0),) * 5)
    model = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None, rpn_anchor_generator=anchors).eval()
    load_resnet(model.backbone.body, weights)
    for level in range(4):
        load_conv(model.backbone.fpn.inner_blocks[level][0], weights, f"fpn/lateral_1x1_c{level + 2}")
        load_conv(model.backbone.fpn.layer_blocks[level][0], weights, f"fpn/posthoc_3x3_p{level + 2}")
    load_rpn(model.rpn.head, weights)
    heads = model.roi_heads
    load_dense(heads.box_head.fc6, weights, "fastrcnn/fc6")
    load_dense(heads.box_head.fc7, weights, "fastrcnn/fc7")
    load_dense(heads.box_predictor.cls_score, weights, "fastrcnn/outputs/class")
    load_dense(heads.box_predictor.bbox_pred, weights, "fastrcnn/outputs/box")
    for k in range(4):
        load_conv(heads.mask_head[k][0], weights, f"maskrcnn/fcn{k}")
    load_conv(heads.mask_predictor.conv5_mask, weights, "maskrcnn/deconv")
    # torchvision also predicts a mask for the background, which it never uses.
    w, b = weights["maskrcnn/conv/W"], weights["maskrcnn/conv/b"]
    background = {"maskrcnn/conv/W": np.zeros_like(w[..., :1]), "maskrcnn/conv/b": np.zeros_like(b[:1])}
    with_background = {n: np.concatenate([background[n], weights[n]], -1) for n in background}
    load_conv(heads.mask_predictor.mask_fcn_logits, with_background, "maskrcnn/conv")
    return model


def stages(inputs: Arrays) -> Arrays:
    """The output of every stage of Mask R-CNN, given the output of our model's previous stage."""
    model = mask_rcnn(inputs)
    image = normalized(inputs["image"])
    size = tuple(image.shape[2:])
    maps = {str(k) if k < 4 else "pool": nchw(inputs[f"p{k + 2}"]) for k in range(5)}
    out = {f"p{k + 2}": nhwc(x) for k, x in enumerate(model.backbone(image).values())}

    logits, deltas = model.rpn.head(list(maps.values()))
    for k, (level_logits, level_deltas) in enumerate(zip(logits, deltas, strict=True)):
        out[f"rpn_logits{k}"] = nhwc(level_logits).reshape(1, -1)
        out[f"rpn_deltas{k}"] = nhwc(level_deltas).reshape(1, -1, 4)

    images = torchvision.models.detection.image_list.ImageList(image, [size])
    anchors = model.rpn.anchor_generator(images, list(maps.values()))
    logits = torch.cat([torch.from_numpy(inputs[f"rpn_logits{k}"]) for k in range(5)], 1)
    deltas = torch.cat([torch.from_numpy(inputs[f"rpn_deltas{k}"]) for k in range(5)], 1)
    boxes = model.rpn.box_coder.decode(deltas[0], anchors).view(1, -1, 4)
    per_level = [inputs[f"rpn_logits{k}"].shape[1] for k in range(5)]
    out["proposals"] = model.rpn.filter_proposals(boxes, logits[..., None], [size], per_level)[0][0].numpy()

    heads, proposals = model.roi_heads, torch.from_numpy(inputs["proposals"])
    features = heads.box_head(heads.box_roi_pool(maps, [proposals], [size]))
    class_logits, box_deltas = heads.box_predictor(features)
    out["class_logits"], out["box_deltas"] = (
        class_logits.numpy(),
        box_deltas.view(len(proposals), -1, 4).numpy(),
    )

    detections = heads.postprocess_detections(
        torch.from_numpy(inputs["class_logits"]),
        torch.from_numpy(inputs["box_deltas"]).flatten(1),
        [proposals],
        [size],
    )
    out["boxes"], out["scores"], out["labels"] = (x[0].numpy() for x in detections)

    boxes, labels = torch.from_numpy(inputs["boxes"]), torch.from_numpy(inputs["labels"]).long()
    masks = heads.mask_predictor(heads.mask_head(heads.mask_roi_pool(maps, [boxes], [size])))
    out["masks"] = masks[torch.arange(len(labels)), labels].sigmoid().numpy()
    return out


def c4_stages(inputs: Arrays) -> Arrays:
    """The stages of a C4 model built from torchvision's ResNet-50, RPN head and RoIAlign."""
    body = torchvision.models.resnet50(weights=None).eval()
    load_resnet(body, inputs)
    x = normalized(inputs["image"])
    for name in ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3"):
        x = getattr(body, name)(x)
    head = RPNHead(1024, 15)
    load_rpn(head, inputs)
    (logits,), (deltas,) = head([nchw(inputs["c4"])])
    out = {
        "c4": nhwc(x),
        "rpn_logits": nhwc(logits).reshape(1, -1),
        "rpn_deltas": nhwc(deltas).reshape(1, -1, 4),
    }

    rois = [torch.from_numpy(inputs["proposals"])]
    features = body.layer4(roi_align(nchw(inputs["c4"]), rois, 14, 1 / 16, 2, aligned=True))
    out["features"] = nhwc(features)
    mean = features.mean([2, 3])
    for name in ("class", "box"):
        w, b = (torch.from_numpy(inputs[f"fastrcnn/{name}/{k}"]) for k in "Wb")
        out[name] = (mean @ w + b).numpy()
    w, b = (inputs[f"maskrcnn/deconv/{k}"] for k in "Wb")
    deconv = torch.from_numpy(w.transpose(3, 2, 0, 1).copy())
    hidden = torch.nn.functional.conv_transpose2d(features, deconv, torch.from_numpy(b), stride=2).relu()
    w, b = (inputs[f"maskrcnn/conv/{k}"] for k in "Wb")
    conv = torch.from_numpy(w.transpose(3, 2, 0, 1).copy())
    out["masks"] = nhwc(torch.nn.functional.conv2d(hidden, conv, torch.from_numpy(b)))
    return out


def roi_aligned(inputs: Arrays) -> Arrays:
    """RoIAlign of boxes (N, 4) on one map, and the gradient with respect to the map."""
    stride, resolution, ratio = float(inputs["stride"]), int(inputs["resolution"]), int(inputs["ratio"])
    maps = nchw(inputs["features"]).requires_grad_()
    boxes = torch.from_numpy(inputs["boxes"])
    pooled = roi_align(maps, [boxes], resolution, 1 / stride, ratio, aligned=True)
    (gradient,) = torch.autograd.grad(pooled, maps, nchw(inputs["weights"]))
    return {"pooled": nhwc(pooled.detach()), "gradient": nhwc(gradient)}


def grid_sampled(inputs: Arrays) -> Arrays:
    """RoIAlign of boxes (N, 4) inside one map, as means of samples of ``grid_sample``."""
    stride, resolution, ratio = float(inputs["stride"]), int(inputs["resolution"]), int(inputs["ratio"])
    maps, boxes = nchw(inputs["features"]), torch.from_numpy(inputs["boxes"])
    fraction = (torch.arange(resolution * ratio) + 0.5) / (resolution * ratio)
    axes = []
    for low, high, pixels in (
        (boxes[:, 0], boxes[:, 2], maps.shape[3]),
        (boxes[:, 1], boxes[:, 3], maps.shape[2]),
    ):
        # Normalized coordinates: -1 and 1 are the edges of the map.
        axes.append(2 * (low[:, None] + (high - low)[:, None] * fraction) / (stride * pixels) - 1)
    x, y = axes
    shape = (len(boxes), len(fraction), len(fraction))
    grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], -1)
    samples = torch.nn.functional.grid_sample(maps.expand(len(boxes), -1, -1, -1), grid, align_corners=False)
    return {"pooled": nhwc(torch.nn.functional.avg_pool2d(samples, ratio))}


def nms_indices(inputs: Arrays) -> Arrays:
    """Indices kept by NMS, by descending score, without and with classes."""
    boxes, scores = torch.from_numpy(inputs["boxes"]), torch.from_numpy(inputs["scores"])
    threshold = float(inputs["threshold"])
    classes = torch.from_numpy(inputs["classes"])
    return {
        "one_class": nms(boxes, scores, threshold).numpy(),
        "by_class": batched_nms(boxes, scores, classes, threshold).numpy(),
    }


if __name__ == "__main__":
    function, source, target = sys.argv[1:]
    torch.set_num_threads(1)
    with torch.set_grad_enabled(function == "roi_aligned"):
        results = globals()[function](dict(np.load(source)))
    np.savez(target, **results)
