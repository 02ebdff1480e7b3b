"""Writes docs/rules.md: every rule of mrc-values, from the same source as `mrc-values explain`.

What a rule says of its failing example comes from a run of `validate` on it. With --check it writes nothing
and fails when the page is not up to date.
"""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import generated
from generated import ROOT
from mrc_cli.findings import dotted
from mrc_values.check import check
from mrc_values.rules import RULES, Rule
from mrc_values.rules.preflight import PREFLIGHT

PAGE = ROOT / "docs" / "rules.md"

BASE = "maskrcnn: {image: 'registry.example.com/mask-rcnn:1.0', node_group: p4d}\n"
"""What the examples stand on: without it, each would have the same findings besides its own."""

TOPICS = {
    "The file": "MRC001 MRC002 MRC003 MRC004 MRC005 MRC008 MRC009",
    "What is rendered": "MRC006 MRC007",
    "GPUs, nodes, node group": "MRC010 MRC011 MRC012 MRC013 MRC014 MRC015 MRC016 MRC090",
    "Memory, shared memory, huge pages, CPUs": "MRC017 MRC019 MRC041 MRC042 MRC091",
    "EFA, its security group and placement": "MRC018 MRC092",
    "Images: empty, latest, region, processor, CUDA": "MRC020 MRC021 MRC022 MRC023 MRC024 MRC025 MRC026",
    "Claims, file systems, paths, splits": "MRC030 MRC031 MRC032 MRC033 MRC034 MRC035",
    "Names within 63 characters": "MRC040",
    "Who may reach a service": "MRC050 MRC051",
    "Settings of the trainer": "MRC060 MRC061 MRC066 MRC068 MRC069",
    "Learning rate: units, schedule, warm-up": "MRC062 MRC063 MRC067 MRC080",
    "Steps, epochs, ranks, size of the data set": "MRC064 MRC065",
    "Numbers that YAML and Helm change, units": "MRC070 MRC071 MRC076",
    "Environment: NCCL, Open MPI, set twice": "MRC072 MRC073 MRC074 MRC075",
    "The cluster": "MRC100 MRC101 MRC102 MRC104 MRC105 MRC106 MRC199",
    "Gang scheduling and queues": "MRC103 MRC142",
    "Claims in the cluster": "MRC110 MRC111 MRC112 MRC113",
    "Room in the cluster": "MRC120 MRC121 MRC122 MRC123",
    "Quotas and limits": "MRC130 MRC131 MRC132",
    "What pods refer to": "MRC124 MRC140 MRC141",
}
"""Rules by what they are about; every rule has one topic."""

INTRO = """\
# Rules

Made by `make reference` from the rules themselves, which `mrc-values explain MRC014` shows one by one; change
those, not this page. Ids never change their meaning. An error makes [`mrc-values validate`](mrc-values.md)
end with 1, a warning with `--strict` only. Rules from MRC100 on look at the cluster before an install.

The examples stand on `maskrcnn.image: registry.example.com/mask-rcnn:1.0` and `maskrcnn.node_group: p4d`.
Below each that fails is what the rule says of it.
"""


def page() -> str:
    """The whole page: a table of topics, then every rule."""
    rules = RULES | PREFLIGHT
    topics = {topic: ids.split() for topic, ids in TOPICS.items()}
    listed = [id for ids in topics.values() for id in ids]
    if sorted(listed) != sorted(rules):
        raise SystemExit(f"TOPICS do not have every rule once: {sorted(set(listed) ^ set(rules))}")
    rows = [f"| {topic} | {', '.join(_link(rules[id]) for id in ids)} |\n" for topic, ids in topics.items()]
    parts = [
        f"## {topic}\n\n{''.join(map(_rule, (rules[id] for id in ids)))}" for topic, ids in topics.items()
    ]
    return "\n".join([INTRO, "| about | rules |\n| --- | --- |\n" + "".join(rows), *parts]).rstrip() + "\n"


def _link(rule: Rule) -> str:
    return f"[{rule.id}](#{rule.id.lower()})"


def _rule(rule: Rule) -> str:
    return "\n".join(_parts(rule)) + "\n\n"


def _parts(rule: Rule) -> Iterator[str]:
    yield f"### {rule.id}\n"
    yield f"*{rule.severity}: {rule.title}.* {' '.join(rule.why.split())}\n"
    if rule.id in PREFLIGHT:
        yield f"- Fails: `{rule.failing}`\n- Passes: `{rule.passing}`"
        return
    yield f"```yaml\n# fails\n{rule.failing}\n```\n"
    yield "".join(f"> {line}\n" for line in _said(rule))
    yield f"```yaml\n# passes\n{rule.passing}\n```"


def _said(rule: Rule) -> Iterator[str]:
    """What the rule says of its failing example."""
    with tempfile.TemporaryDirectory() as folder:
        base, file = Path(folder, "base.yaml"), Path(folder, "values.yaml")
        base.write_text(BASE)
        file.write_text(rule.failing)
        for finding in check(ROOT / "charts" / "maskrcnn", [base, file]).findings:
            if finding.rule == rule.id:
                name = f"`{dotted(finding.path)}` " if finding.path else ""
                yield f"{name}{finding.message} {finding.fix}".strip()


if __name__ == "__main__":
    sys.exit(generated.main(__doc__, lambda: {PAGE: page()}))
