# Runs the command in the user's notebook directory, or in the home directory if that is not writable.
#
# Environment: NOTEBOOKS, the user's directory on the shared file system; HOME, a directory of the pod;
# MRC_NOTEBOOKS, the directory of the notebooks in the image, /opt/notebooks by default.
# POSIX sh only, so that it works in images that were not made for this chart.
if ! { mkdir -p "$NOTEBOOKS" && [ -w "$NOTEBOOKS" ]; } 2>/dev/null; then
  echo "start: $NOTEBOOKS is not writable for user $(id -u), group $(id -g), so notebooks are stored in $HOME and lost with the pod." \
    "Run this once on any machine that mounts the file system: mkdir -p $NOTEBOOKS && chown $(id -u):$(id -g) $NOTEBOOKS;" \
    "or set run_as_user and run_as_group of this chart to its owner." >&2
  NOTEBOOKS=$HOME
fi
cd "$NOTEBOOKS" || exit
# Copies only notebooks that do not exist yet: an upgrade never overwrites what a user has edited.
cp -n "${MRC_NOTEBOOKS:-/opt/notebooks}"/*.ipynb . 2>/dev/null
# The path is relative to the server's root, which is /.
exec "$@" "--FileContentsManager.preferred_dir=${NOTEBOOKS#/}"
