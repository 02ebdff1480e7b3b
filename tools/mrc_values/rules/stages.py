"""Ids of what validation finds outside the rules: while reading, comparing with a schema, rendering."""

from mrc_cli.findings import Severity

from mrc_values.rules.registry import register_stage

register_stage(
    "MRC001",
    Severity.ERROR,
    "the file can be read as values",
    "Helm reads values as one YAML document in UTF-8: names with values, indented with spaces. Files that "
    "are far larger or deeper than any values file are refused before they cost time and memory.",
    failing="maskrcnn: {gpus: 16",
    passing="maskrcnn: {gpus: 16}",
)
register_stage(
    "MRC002",
    Severity.ERROR,
    "a name stands once",
    "Of two lines with one name Helm silently takes the last, which may not be the one that you meant.",
    failing="maskrcnn:\n  gpus: 16\n  gpus: 32",
    passing="maskrcnn:\n  gpus: 32",
)
register_stage(
    "MRC003",
    Severity.ERROR,
    "the chart knows every name",
    "A misspelt name would be ignored and the default used, which nobody notices until the run is over.",
    failing="maskrcnn: {gpus_per_nod: 8}",
    passing="maskrcnn: {gpus_per_node: 8}",
)
register_stage(
    "MRC004",
    Severity.ERROR,
    "every value is of the right kind",
    "The chart's values.schema.json says for every value what it may be. Helm checks it as well, without "
    "lines and not for charts that are switched off.",
    failing="maskrcnn: {gpus: many}",
    passing="maskrcnn: {gpus: 16}",
)
register_stage(
    "MRC005",
    Severity.ERROR,
    "nothing that the chart needs is taken away",
    "null takes a default away. A section whose lines are all commented out is null, and takes away all.",
    failing="maskrcnn:\n# gpus: 16",
    passing="maskrcnn:\n  gpus: 16",
)
register_stage(
    "MRC006",
    Severity.ERROR,
    "Helm renders the chart",
    "What Helm refuses here it refuses at install, and the message is the same without a cluster.",
    failing="maskrcnn: {node_group: '', hugepages: 5120Mi}",
    passing="maskrcnn: {node_group: '', hugepages: 5120Mi, memory: 400Gi}",
)
register_stage(
    "MRC007",
    Severity.ERROR,
    "Kubernetes takes what is rendered",
    "Every rendered object is compared with Kubernetes' own schema, strictly, and the pod templates of an "
    "MPIJob as well, which the API server does not look into.",
    failing="maskrcnn: {env: {TOKEN: {valueFrom: {secretKeyReference: {name: a, key: b}}}}}",
    passing="maskrcnn: {env: {TOKEN: {valueFrom: {secretKeyRef: {name: a, key: b}}}}}",
)
register_stage(
    "MRC008",
    Severity.INFO,
    "names are the present ones",
    "Old names of the tutorial's charts still work; the description says what took their place.",
    failing="maskrcnn: {gpu_instance_type: p4d.24xlarge}",
    passing="maskrcnn: {node_group: p4d}",
)
register_stage(
    "MRC009",
    Severity.ERROR,
    "texts are of the right form",
    "Names of claims, folders and quantities have a form, which the chart's schema gives as a pattern.",
    failing="maskrcnn: {memory: 400 GB}",
    passing="maskrcnn: {memory: 400Gi}",
)
