"""``mrc-values validate`` compared with helm lint, helm template and kubeconform, which it replaces.

Measures complete processes on the same chart and values, in turn, and reports medians. Also measures a second
values file in the same call. Needs Go to build Helm and kubeconform. Prints a table for docs/benchmarks.md.
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
    """Run all commands in turn and print a table with the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=11)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as directory:
        file, second = Path(directory, "values.yaml"), Path(directory, "second.yaml")
        file.write_text(VALUES)
        second.write_text("maskrcnn:\n  gpus: 32\n  steps_per_epoch: 3750\n")
        helm, kubeconform = programs.build("helm4"), _kubeconform(Path(directory))

        schemas = _schemas(Path(directory)) / "{{.ResourceKind}}{{.KindSuffix}}.json"

        def conventional() -> None:
            _run(helm, "lint", CHART, "-f", file)
            rendered = _run(helm, "template", "maskrcnn", CHART, "-f", file)
            checked = _run(
                kubeconform,
                *("-strict", "-ignore-missing-schemas", "-summary", "-schema-location", str(schemas)),
                text=rendered,
            )
            # kubeconform skips the MPIJob, for which Kubernetes has no schema.
            if "Valid: 3, Invalid: 0, Errors: 0, Skipped: 1" not in checked:
                raise SystemExit(f"unexpected summary of kubeconform: {checked}")

        commands: dict[str, Callable[[], object]] = {
            "mrc-values validate": lambda: _run(PROGRAM, "validate", CHART, "-f", file),
            "the same with a second file": lambda: _run(PROGRAM, "validate", CHART, "-f", file, "-f", second),
            "helm lint + helm template + kubeconform": conventional,
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(turns + 1):
            for name, call in commands.items():
                started, used = time.perf_counter(), _cpu()
                call()
                if turn:  # the first turn fills caches
                    seconds[name].append(time.perf_counter() - started)
                    cpu[name].append(_cpu() - used)
    print(f"{turns} turns, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
    print("| complete processes | median | fastest | median of CPU time |\n| --- | --- | --- | --- |")
    for name, durations in seconds.items():
        times = (statistics.median(durations), min(durations), statistics.median(cpu[name]))
        print(f"| {name} | {' | '.join(f'{time * 1000:.0f} ms' for time in times)} |")
    for quantity, (ours, both, theirs) in (("time", seconds.values()), ("CPU time", cpu.values())):
        extra = statistics.median(two - one for one, two in zip(ours, both, strict=True))
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"\n{quantity}, ratio of ours to theirs: {ratio:.2f}")
        print(f"{quantity}, a second file: {extra / statistics.median(ours):.2f} of the first")


def _cpu() -> float:
    """CPU time of all child processes that have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _run(*command: str | Path, text: str = "") -> str:
    done = subprocess.run(list(map(str, command)), input=text, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: {done.stdout}{done.stderr}")
    return done.stdout


def _kubeconform(directory: Path) -> Path:
    """Build kubeconform, in the version pinned by kubeconform/go.mod."""
    program = directory / "kubeconform"
    source = Path(__file__).with_name("kubeconform")
    command = ["go", "build", "-o", str(program), "github.com/yannh/kubeconform/cmd/kubeconform"]
    subprocess.run(command, cwd=source, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    return program


def _schemas(directory: Path) -> Path:
    """The same schemas as self-contained files, since kubeconform would fetch references over the network."""
    schemas = directory / "schemas"
    schemas.mkdir()
    definitions = json.loads((SCHEMAS / "_definitions.json").read_text())["$defs"]
    for name in ("deployment-apps-v1", "service-v1", "pod-v1"):
        schema = {**json.loads((SCHEMAS / f"{name}.json").read_text()), "$defs": definitions}
        schema.pop("$schema", None)
        schema.pop("$id", None)
        (schemas / f"{name}.json").write_text(json.dumps(schema).replace("/api/_definitions.json#", "#"))
    return schemas


if __name__ == "__main__":
    main()
