"""Writes stage-data/stage-data.yaml and stage-data-fsx.yaml, the chart stage-data rendered for kubectl apply.

With --check it writes nothing and fails when a file is not up to date.
"""

import sys
from pathlib import Path

import generated
from generated import ROOT
from mrc_values.helm import render

IMAGE, BUCKET = "STAGE_IMAGE", "S3_BUCKET"
"""What the user fills in."""

HEADER = """\
# Stages COCO 2017, which prepare-s3-bucket.sh has put into a bucket, onto {title}. `make reference` writes it
# from charts/stage-data, which has values for everything else: claims, roles, users, other data sets.
#
#   sed -i 's|{image}|<image of mrc-images push stage>|; s|{bucket}|<your bucket>|' stage-data/{file}
#   kubectl apply -f stage-data/{file} -n kubeflow
"""

FILES = {"stage-data.yaml": ("efs", "EFS"), "stage-data-fsx.yaml": ("fsx", "FSx for Lustre")}


def manifest(name: str) -> str:
    """One file."""
    fs, title = FILES[name]
    values = {
        "global": {"shared_fs": fs},
        "name": name.removesuffix(".yaml"),
        "image": IMAGE,
        "s3_uri": f"s3://{BUCKET}/mask-rcnn/eks/input",
    }
    texts = render(ROOT / "charts" / "stage-data", values, "stage-data", "kubeflow")
    objects = [text.strip() for path, text in sorted(texts.items(), reverse=True) if path.endswith(".yaml")]
    header = HEADER.format(title=title, file=name, image=IMAGE, bucket=BUCKET)
    return header + "".join(f"---\n{text}\n" for text in objects if text)


def files() -> dict[Path, str]:
    """All files with their texts."""
    return {ROOT / "stage-data" / name: manifest(name) for name in FILES}


if __name__ == "__main__":
    sys.exit(generated.main(__doc__, files))
