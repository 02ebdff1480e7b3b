#!/bin/sh
# Usage: prepare-s3-bucket.sh S3_BUCKET. Puts COCO 2017 and the weights of the backbone into the bucket: docs/staging.md.
cd "$(dirname "$0")/.." && PATH="$PWD/.venv/bin:$PATH" && exec mrc-stage prepare "s3://${1:?name the bucket}/mask-rcnn/eks/input"
