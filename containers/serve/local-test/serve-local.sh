#!/bin/sh
# Serve test_dir/model as SageMaker does, at http://127.0.0.1:8080/: ./serve-local.sh IMAGE
exec "${DOCKER:-docker}" run --rm -p 127.0.0.1:8080:8080 -v "$(dirname "$(realpath "$0")")/test_dir:/opt/ml:ro" "${1:?IMAGE}" serve
