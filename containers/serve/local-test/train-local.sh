#!/bin/sh
# Train as SageMaker does, in a container: ./train-local.sh IMAGE. The model ends up in test_dir/model.
exec "${DOCKER:-docker}" run --rm -v "$(dirname "$(realpath "$0")")/test_dir:/opt/ml" "${1:?IMAGE}" train
