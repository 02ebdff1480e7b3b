# Runs the command in the user's folder, or in the pod's own where that one cannot be written.
#
# Read from the environment: NOTEBOOKS, the user's folder on the shared file system; HOME, the pod's own;
# MRC_NOTEBOOKS, the image's notebooks, by default /opt/notebooks.
# POSIX sh only, so that it works in images that were not made for this chart.
if ! { mkdir -p "$NOTEBOOKS" && [ -w "$NOTEBOOKS" ]; } 2>/dev/null; then
  echo "start: $NOTEBOOKS is not writable for user $(id -u), group $(id -g), so notebooks go to $HOME and end with the pod." \
    "Make it so once, on any machine that mounts the file system: mkdir -p $NOTEBOOKS && chown $(id -u):$(id -g) $NOTEBOOKS;" \
    "or set run_as_user and run_as_group of this chart to its owner." >&2
  NOTEBOOKS=$HOME
fi
cd "$NOTEBOOKS" || exit
# The image's notebooks, but for those that are there: an upgrade never overwrites what a user has edited.
cp -n "${MRC_NOTEBOOKS:-/opt/notebooks}"/*.ipynb . 2>/dev/null
# A path below the server's root, which is /.
exec "$@" "--FileContentsManager.preferred_dir=${NOTEBOOKS#/}"
