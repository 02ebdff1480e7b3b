#!/bin/sh
# Usage: build_and_push.sh AWS-REGION. Builds the image and pushes it to ECR under both names: docs/images.md.
cd "$(dirname "$0")/../.." && PATH="$PWD/.venv/bin:$PATH" && mrc-images build train-gpu && exec mrc-images push train-gpu --region "$@"
