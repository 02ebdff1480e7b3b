"""Validation of a chart's values: every check in one go, its findings in reading order."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrc_values import catalogue, findings, helm, kubeschema, schema, values
from mrc_values.findings import Finding, Position, Severity, ValuePath, parse_dotted
from mrc_values.rules import RULES, Context
from mrc_values.rules.images import STAND_INS
from mrc_values.values import Values


@dataclass(frozen=True)
class Result:
    """Findings, the values they are about, and what Helm rendered (nothing when it could not)."""

    findings: list[Finding]
    values: Values
    rendered: Mapping[str, str] = field(default_factory=dict)

    @property
    def failing(self) -> bool:
        """Whether anything is an error."""
        return findings.failing(self.findings)


def check(
    chart: Path, files: Sequence[Path] = (), sets: Sequence[str] = (), release: str | None = None
) -> Result:
    """Checks the values of ``chart`` under files and ``--set`` expressions.

    ``release`` is the name that Helm renders with, by default the chart's. Raises UsageError for a
    chart or file that is not there.
    """
    loaded, found = values.load(chart, files, sets)
    if any(finding.rule == "MRC001" for finding in found):
        # Without the values of that file all else would be about the defaults.
        return Result(findings.sort(found), loaded)
    by_rules = list(_rules(chart, loaded))
    refused = {finding.path for finding in by_rules if finding.severity is Severity.ERROR}
    by_schema = [finding for finding in schema.check(chart, loaded) if finding.path not in refused]
    found += by_rules + by_schema
    if findings.failing(by_schema):
        # Helm would only repeat what the schema said.
        return Result(findings.sort(found), loaded)
    rendered: Mapping[str, str] = {}
    try:
        rendered = helm.render(
            chart, _complete(loaded), release or helm.metadata(chart).get("name", "release")
        )
        found += _refusals(rendered, chart, loaded)
    except helm.RenderError as error:
        finding = _render_finding(error, chart, loaded)
        if not _said(finding, by_rules):
            found.append(finding)
    return Result(findings.sort(found), loaded, rendered)


def _rules(chart: Path, loaded: Values) -> Iterator[Finding]:
    context = Context(loaded, catalogue.load(chart))
    for rule in RULES.values():
        for problem in rule.check(context) if rule.check else ():
            path = _path(problem.name)
            severity = problem.severity or rule.severity
            yield Finding(loaded.place(path), severity, rule.id, path, problem.message, problem.fix)


def _path(name: str) -> ValuePath:
    """``maskrcnn.extra_config[1]`` as a path."""
    parts: list[str | int] = []
    for text in parse_dotted(name):
        head, *indices = re.split(r"[\[\]]+", str(text).rstrip("]"))
        parts += [head, *map(int, indices)]
    return tuple(parts)


def _complete(loaded: Values) -> dict[str, object]:
    """The user's values with something for each one that is missing and reported as such.

    So that Helm shows what else is wrong.
    """
    complete = loaded.user
    for name, stand_in in STAND_INS.items():
        if loaded.get(name) in (None, ""):
            section, key = name.split(".")
            complete = values.merge(complete, {section: {key: stand_in}})
    return complete


_NAMED = re.compile(r"^((?:[a-z]\w*\.)+[a-z]\w*)(?::| is )\s*(.*)$", re.DOTALL)


def _render_finding(error: helm.RenderError, chart: Path, loaded: Values) -> Finding:
    """Our templates' messages start with the value that they are about; others are placed in the template."""
    named = _NAMED.match(error.message)
    if named and loaded.get(named[1].split(".")[0]) is not None:
        path = parse_dotted(named[1])
        message, _, fix = named[2].partition(". ")
        return Finding(
            loaded.place(path), Severity.ERROR, "MRC006", path, f"{message.rstrip('.')}.", fix and f"{fix}."
        )
    template = Path(error.template)
    file = chart.joinpath(*template.parts[1:]) if error.template else chart
    place = Position(str(file), error.line, 1 if error.line else 0)
    return Finding(place, Severity.ERROR, "MRC006", (), f"Helm cannot render the chart: {error.message}.", "")


def _said(finding: Finding, by_rules: list[Finding]) -> bool:
    """Whether a rule already reported what made a template fail, about the same value or one it names."""
    for other in by_rules:
        name = findings.dotted(other.path)
        if (
            other.severity is Severity.ERROR
            and name
            and (other.path == finding.path or name in finding.message)
        ):
            return True
    return False


def _refusals(rendered: Mapping[str, str], chart: Path, loaded: Values) -> Iterator[Finding]:
    for refusal in kubeschema.check(rendered):
        path = _source(refusal, loaded)
        place = loaded.place(path) if path else Position(str(chart))
        message = f"Kubernetes refuses {refusal.object}, {refusal.field}: {refusal.message}."
        yield Finding(
            place, Severity.ERROR, "MRC007", path, message, "Change the value it comes from." if path else ""
        )


def _source(refusal: kubeschema.Refusal, loaded: Values) -> ValuePath:
    """The user's value that the refused part of an object is a copy of, if there is one."""
    for layer in reversed(loaded.layers):
        for path in layer.places:
            value = layer.values if not path else values.lookup(layer.values, path)
            if path and value == refusal.instance and value not in (None, "", {}, []):
                return path
    return ()
