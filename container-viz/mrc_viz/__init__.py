"""Tools to look at trained models: runs, curves, detections, the test notebook and a report."""
