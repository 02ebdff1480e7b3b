"""Evaluation: detections in original pixels and COCO's metrics."""
