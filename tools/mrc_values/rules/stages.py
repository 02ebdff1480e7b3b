"""The values file, its schema and the rendered objects.

These rules are reported by the stages of validation (reading, schema, rendering), not by functions.
"""

from functools import partial

from mrc_cli.findings import Severity

from mrc_values.rules.registry import declare

_rule = partial(declare, __name__)

_rule(
    "MRC001",
    Severity.ERROR,
    "the file can be parsed",
    "Helm reads a values file as one YAML document in UTF-8: a mapping, indented with spaces. Files that are "
    "far larger or nested far deeper than any values file are rejected before they cost time and memory.",
    failing="maskrcnn: {gpus: 16",
    passing="maskrcnn: {gpus: 16}",
)
_rule(
    "MRC002",
    Severity.ERROR,
    "no key is duplicated",
    "Of two equal keys Helm silently uses the last, which may not be the one you meant.",
    failing="maskrcnn:\n  gpus: 16\n  gpus: 32",
    passing="maskrcnn:\n  gpus: 32",
)
_rule(
    "MRC003",
    Severity.ERROR,
    "the chart defines every key",
    "A misspelled key would be ignored and the default used, which nobody notices until the run is over.",
    failing="maskrcnn: {gpus_per_nod: 8}",
    passing="maskrcnn: {gpus_per_node: 8}",
)
_rule(
    "MRC004",
    Severity.ERROR,
    "every value has the right type",
    "The chart's values.schema.json defines the type and range of every value. Helm checks it too, but "
    "without line numbers and not for disabled sub-charts.",
    failing="maskrcnn: {gpus: many}",
    passing="maskrcnn: {gpus: 16}",
)
_rule(
    "MRC005",
    Severity.ERROR,
    "no required value is removed",
    "null removes a default. A section whose lines are all commented out is null, and removes all of them.",
    failing="maskrcnn:\n# gpus: 16",
    passing="maskrcnn:\n  gpus: 16",
)
_rule(
    "MRC006",
    Severity.ERROR,
    "Helm renders the chart",
    "Whatever Helm rejects here it also rejects during an install, with the same message.",
    failing="maskrcnn: {node_group: '', hugepages: 5120Mi}",
    passing="maskrcnn: {node_group: '', hugepages: 5120Mi, memory: 400Gi}",
)
_rule(
    "MRC007",
    Severity.ERROR,
    "Kubernetes accepts the rendered objects",
    "Every rendered object is checked strictly against the Kubernetes schemas. So are the pod "
    "templates of an "
    "MPIJob, which the API server does not validate.",
    failing="maskrcnn: {env: {TOKEN: {valueFrom: {secretKeyReference: {name: a, key: b}}}}}",
    passing="maskrcnn: {env: {TOKEN: {valueFrom: {secretKeyRef: {name: a, key: b}}}}}",
)
_rule(
    "MRC008",
    Severity.INFO,
    "no key is deprecated",
    "Old keys of the tutorial's charts still work; the description names the replacement.",
    failing="maskrcnn: {gpu_instance_type: p4d.24xlarge}",
    passing="maskrcnn: {node_group: p4d}",
)
_rule(
    "MRC009",
    Severity.ERROR,
    "strings have the right format",
    "Claim names, directories and quantities have a format, which the chart's schema defines as a pattern.",
    failing="maskrcnn: {memory: 400 GB}",
    passing="maskrcnn: {memory: 400Gi}",
)
