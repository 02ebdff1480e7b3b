"""What is kept when a release is deleted."""

import yaml

from mrc_values.cluster.objects import Object, at, items, name, text


def kept_after_delete(manifest: str) -> list[str]:
    """A line for each run directory, claim and other object that deleting a release does not delete."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    objects = [item for item in yaml.load_all(manifest, Loader=loader) if isinstance(item, dict)]
    lines, claims, namespaces = [], set(), set()
    for item in objects:
        namespace = text(item, "metadata", "namespace")
        namespaces |= {namespace} - {""}
        for spec in _pod_specs(item):
            claims |= {
                f"the claim {claim} in {namespace}, with all its data"
                for volume in items(spec, "volumes")
                if (claim := text(volume, "persistentVolumeClaim", "claimName"))
            }
        if item.get("kind") == "MPIJob":
            directory, claim = _run_dir(item)
            lines.append(f"the run of {name(item)}: logs and checkpoints in {directory}, claim {claim}")
        kept = text(item, "metadata", "annotations", "helm.sh/resource-policy") == "keep"
        if kept:
            whole = ", and all MPIJobs" if item.get("kind") == "CustomResourceDefinition" else ""
            lines.append(f"the {item.get('kind')} {name(item)}{whole}")
    made = {name(item) for item in objects if item.get("kind") == "Namespace"}
    return [*lines, *sorted(claims), *(f"the namespace {entry}" for entry in sorted(namespaces - made))]


def _run_dir(job: Object) -> tuple[str, str]:
    """The run directory in the launcher, and the claim that it is on."""
    spec = at(job, "spec", "mpiReplicaSpecs", "Launcher", "template", "spec")
    (container, *_) = items(spec, "containers") or ({},)
    environment = {text(item, "name"): text(item, "value") for item in items(container, "env")}
    file_system = environment.get("SHARED_FS", "")
    claims = {
        text(volume, "name"): text(volume, "persistentVolumeClaim", "claimName")
        for volume in items(spec, "volumes")
    }
    directory = environment.get("RUN_DIR", "").replace("$(SHARED_FS)", file_system)
    return directory, claims.get(file_system.strip("/"), "")


def _pod_specs(item: Object) -> list[Object]:
    if item.get("kind") == "MPIJob":
        roles = at(item, "spec", "mpiReplicaSpecs").values()
        return [at(role, "template", "spec") for role in roles]
    return [at(item, "spec", "template", "spec")]
