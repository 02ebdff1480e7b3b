#!/usr/bin/env bash
# Installs the values tool as docs/mrc-values.md says, from a fresh clone, where no compiler can be found, and checks
# values with it. Argument: the program uv.
set -euo pipefail

uv="$(realpath "$(command -v "$1")")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

git clone --quiet --no-hardlinks . "$work/clone"
mkdir "$work/path"
ln -s "$(.venv/bin/python -c 'import sys; print(sys._base_executable)')" "$work/path/python3"
ln -s "$(command -v rm)" "$work/path/rm"
export PATH="$work/path" UV_TOOL_DIR="$work/tools" UV_TOOL_BIN_DIR="$work/bin" UV_PYTHON_DOWNLOADS=never
for compiler in cc gcc g++ clang; do
  if command -v "$compiler" > /dev/null; then
    echo "tool_install: there is a compiler in the path" >&2
    exit 1
  fi
done

cd "$work/clone"
SECONDS=0
"$uv" tool install --quiet --python "$work/path/python3" '.[values]'
printf 'uv tool install: %d s\n' "$SECONDS"
# The default values lack only the image.
"$work/bin/mrc-values" validate --set maskrcnn.image=registry.example.com/mask-rcnn:1.0 --set maskrcnn.node_group=p4d
if "$work/bin/mrc-values" validate charts/maskrcnn-optimized; then
  echo "tool_install: a missing image was not found" >&2
  exit 1
fi
for large in "$work"/tools/*/lib/python3*/site-packages/{tensorflow,horovod,jupyterlab}; do
  if [ -e "$large" ]; then
    echo "tool_install: $large is installed" >&2
    exit 1
  fi
done
