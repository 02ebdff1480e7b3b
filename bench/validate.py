"""mrc-values validate compared with the tools that it replaces: helm lint, helm template and kubeconform.

Whole processes on the same chart and values, in turns; the medians of all turns. A second file in the same
call is measured too. Needs Go once, to build Helm and kubeconform. Prints a table for docs/benchmarks.md.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import kubernetes_validate
from testcluster import programs

ROOT = Path(__file__).parents[1]
CHART = ROOT / "charts" / "maskrcnn"
PROGRAM = Path(sys.executable).with_name("mrc-values")
SCHEMAS = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema" / "v1.34.0-local-strict"
"""The schemas that mrc-values uses."""

VALUES = "maskrcnn:\n  image: registry.example.com/mask-rcnn:1.0\n  node_group: p4d\n"


def main() -> None:
    """Runs all in turns and prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=11)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as directory:
        file, second = Path(directory, "values.yaml"), Path(directory, "second.yaml")
        file.write_text(VALUES)
        second.write_text("maskrcnn:\n  gpus: 32\n  steps_per_epoch: 3750\n")
        helm, kubeconform = programs.build("helm4"), _kubeconform(Path(directory))

        schemas = _schemas(Path(directory)) / "{{.ResourceKind}}{{.KindSuffix}}.json"

        def rival() -> None:
            _run(helm, "lint", CHART, "-f", file)
            rendered = _run(helm, "template", "maskrcnn", CHART, "-f", file)
            checked = _run(
                kubeconform,
                *("-strict", "-ignore-missing-schemas", "-summary", "-schema-location", str(schemas)),
                text=rendered,
            )
            # kubeconform skips the MPIJob, for which Kubernetes has no schema.
            if "Valid: 3, Invalid: 0, Errors: 0, Skipped: 1" not in checked:
                raise SystemExit(f"kubeconform did not check the objects: {checked}")

        measured: dict[str, Callable[[], object]] = {
            "mrc-values validate": lambda: _run(PROGRAM, "validate", CHART, "-f", file),
            "the same with a second file": lambda: _run(PROGRAM, "validate", CHART, "-f", file, "-f", second),
            "helm lint + helm template + kubeconform": rival,
        }
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        cpu: dict[str, list[float]] = {name: [] for name in measured}
        for turn in range(turns + 1):
            for name, call in measured.items():
                started, used = time.perf_counter(), _cpu()
                call()
                if turn:  # the first round fills caches
                    seconds[name].append(time.perf_counter() - started)
                    cpu[name].append(_cpu() - used)
    print(f"{turns} turns, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| whole processes | median | fastest | median of CPU time |\n| --- | --- | --- | --- |")
    for name, found in seconds.items():
        times = (statistics.median(found), min(found), statistics.median(cpu[name]))
        print(f"| {name} | {' | '.join(f'{time * 1000:.0f} ms' for time in times)} |")
    for what, (ours, both, theirs) in (("time", seconds.values()), ("CPU time", cpu.values())):
        extra = statistics.median(two - one for one, two in zip(ours, both, strict=True))
        print(f"\n{what}, ours to theirs: {statistics.median(ours) / statistics.median(theirs):.2f}")
        print(f"{what}, a second file: {extra / statistics.median(ours):.2f} of the first")


def _cpu() -> float:
    """Seconds of CPU time of all processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(*command: str | Path, text: str = "") -> str:
    done = subprocess.run(list(map(str, command)), input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def _kubeconform(directory: Path) -> Path:
    """kubeconform, of the version that kubeconform/go.mod pins."""
    program = directory / "kubeconform"
    source = Path(__file__).with_name("kubeconform")
    command = ["go", "build", "-o", str(program), "github.com/yannh/kubeconform/cmd/kubeconform"]
    subprocess.run(command, cwd=source, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    return program


def _schemas(directory: Path) -> Path:
    """The same schemas for kubeconform, each in one file: it would look for others in the net."""
    made = directory / "schemas"
    made.mkdir()
    definitions = json.loads((SCHEMAS / "_definitions.json").read_text())["$defs"]
    for name in ("deployment-apps-v1", "service-v1", "pod-v1"):
        schema = {**json.loads((SCHEMAS / f"{name}.json").read_text()), "$defs": definitions}
        schema.pop("$schema", None)
        schema.pop("$id", None)
        (made / f"{name}.json").write_text(json.dumps(schema).replace("/api/_definitions.json#", "#"))
    return made


if __name__ == "__main__":
    main()
