# Says whether the job's pods find what they need on the file systems, for `helm test`: a line for each, and 1
# when one of them is missing.
#
# Read from the environment: RUN_DIR, DATA, and WEIGHTS where there are some. POSIX sh only.
failed=0
say() {
  if [ "$1" = 0 ]; then echo "ok: $2"; else echo "missing: $2. $3" >&2 && failed=1; fi
}
has_files() { [ -n "$(ls "$1" 2>/dev/null)" ]; }

mkdir -p "$RUN_DIR" 2>/dev/null && [ -w "$RUN_DIR" ]
say $? "$RUN_DIR is writable for user $(id -u), group $(id -g)" \
  "Make it so on any machine that mounts the file system: mkdir -p $RUN_DIR && chown $(id -u):$(id -g) $RUN_DIR"
if [ -d "$DATA/.mrc-stage" ]; then
  echo "incomplete: $DATA is not completely staged. Run its stage-data job again, which fetches only what is missing" >&2
  failed=1
elif [ -r "$DATA/.mrc-staged.json" ]; then
  staged() { sed -n "s/^  \"$1\": \"\{0,1\}\([^\",]*\).*/\1/p" "$DATA/.mrc-staged.json"; }
  echo "ok: $DATA is complete: $(staged files) files from $(staged source)"
fi
has_files "$DATA/annotations"
say $? "$DATA/annotations holds the data set's annotations" \
  "Put the data there, in COCO's layout, or set maskrcnn.data_fs and maskrcnn.data_dir"
if [ -n "$WEIGHTS" ]; then
  [ -r "$WEIGHTS" ]
  say $? "$WEIGHTS holds the backbone's weights" \
    "Put them there, or set maskrcnn.backbone_weights; '' trains from scratch"
fi
exit $failed
