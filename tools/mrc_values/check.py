"""Validation of a chart's values: all checks in one call, findings in reading order."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrc_cli import findings
from mrc_cli.findings import Finding, Position, Severity, ValuePath, parse_dotted, shortened

from mrc_values import dependencies, helm, kubeschema, parts, schema, values
from mrc_values.parts import Part
from mrc_values.rules import RULES, Context
from mrc_values.rules.images import PLACEHOLDER, missing_images
from mrc_values.values import Flag, Values


@dataclass(frozen=True)
class Result:
    """The findings, the validated values, the rendered templates (empty if Helm cannot render them), and the
    chart with those dependencies that have values of their own."""

    findings: list[Finding]
    values: Values
    rendered: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = ()

    @property
    def failing(self) -> bool:
        """Whether there is an error."""
        return findings.failing(self.findings)


def check(
    chart: Path,
    files: Sequence[Path] = (),
    sets: Sequence[str | Flag] = (),
    release: str | None = None,
    namespace: str = "default",
) -> Result:
    """Check the values of ``chart`` merged with files and ``--set`` expressions.

    ``release`` and ``namespace`` are those that Helm renders with; the default name is the chart's.
    Raises UsageError if the chart or a file does not exist.
    """
    loaded, reported = values.load(chart, files, sets)
    reported += [*_sections_taken_away(loaded), *_ignored_by_helm(loaded)]
    if any(finding.rule in ("MRC001", "MRC005") for finding in reported):
        # Without the values of that file or section, all other findings would be about missing values.
        return Result(findings.sort(reported), loaded)
    chart_parts = parts.find(chart, loaded)
    by_rules: list[Finding] = []
    rejected = False
    for part in chart_parts:
        by_schema = schema.check(part.schema, part.values) if part.schema else []
        of_rules = list(_rules(part.values, _unusable(by_schema))) if part.has_rules else []
        by_rules += map(part.outer, of_rules)
        rejected = rejected or findings.failing(by_schema)
        # Charts that share a global value share the findings about it.
        reported += [new for new in map(part.outer, _merged(by_schema, of_rules)) if new not in reported]
    if rejected:
        # Helm would only repeat the errors of the schema.
        return Result(findings.sort(reported), loaded)
    rendered: Mapping[str, str] = {}
    try:
        name = release or str(dependencies.metadata(chart).get("name", "release"))
        rendered = helm.render(chart, _complete(loaded, chart_parts), name, namespace)
        reported += _rejections(rendered, chart, loaded)
    except helm.RenderError as error:
        finding = _render_finding(error, chart_parts)
        if not _is_reported(finding, by_rules):
            reported.append(finding)
    return Result(findings.sort(reported), loaded, rendered, chart_parts)


def _sections_taken_away(loaded: Values) -> Iterator[Finding]:
    """A whole section that is null, because all of its lines are commented out."""
    for name, value in loaded.user.items():
        if value is None and any(isinstance(document.values.get(name), dict) for document in loaded.defaults):
            position = loaded.position((name,), key=True)
            message = "is empty, which removes all of its defaults."
            yield Finding(position, Severity.ERROR, "MRC005", (name,), message, "Remove this line too.")


_WRITE_MAPPING = "Write it as `key: value` lines, or remove it."


def _ignored_by_helm(loaded: Values) -> Iterator[Finding]:
    """A value that is not a mapping where the chart has a section: Helm ignores it with only a warning."""
    for document in loaded.given:
        for path in values.paths(document.values):
            value, kept = values.lookup(document.values, path), values.lookup(loaded.merged, path)
            if isinstance(kept, dict) and value is not None and not isinstance(value, dict):
                message = f"{schema.shown(value)} is not a mapping, which Helm ignores or rejects."
                is_switch = isinstance(value, bool) and "enabled" in kept
                switch = f"enabled: {schema.shown(value)}"
                fix = f"Write {path[-1]}: {{{switch}}}." if is_switch else _WRITE_MAPPING
                position = document.positions.get(path, document.nearest(path))
                yield Finding(position, Severity.ERROR, "MRC004", path, message, fix)


def _merged(by_schema: list[Finding], by_rules: list[Finding]) -> list[Finding]:
    """One finding per mistake: a rule is more specific than a pattern, and the schema than a rule about
    types."""
    explained = {finding.path for finding in by_rules if finding.severity is Severity.ERROR}
    mistyped = {finding.path for finding in by_schema if finding.rule in ("MRC004", "MRC005")}
    return [
        *(finding for finding in by_schema if finding.rule != "MRC009" or finding.path not in explained),
        *(finding for finding in by_rules if finding.path not in mistyped),
    ]


def _unusable(by_schema: list[Finding]) -> frozenset[ValuePath]:
    """Paths that the schema rejects, and the ones that misspelled keys were probably meant to be."""
    errors = [finding for finding in by_schema if finding.severity is Severity.ERROR]
    paths = [path for finding in errors for path in (finding.path, finding.meant)]
    return frozenset(path for path in paths if path is not None)


def _rules(loaded: Values, unusable: frozenset[ValuePath]) -> Iterator[Finding]:
    context = Context(loaded, unusable)
    for rule in RULES.values():
        for violation in rule.check(context) if rule.check else ():
            path = parse_dotted(violation.name)
            if path[0] not in loaded.merged and not loaded.sets(violation.name):
                continue  # the chart does not have that section
            if path in unusable and not loaded.sets(violation.name):
                continue  # its key is misspelled; it is not missing
            severity = violation.severity or rule.severity
            message, fix = shortened(violation.message), shortened(violation.fix)
            yield Finding(loaded.position(path), severity, rule.id, path, message, fix)


def _complete(loaded: Values, chart_parts: Sequence[Part]) -> dict[str, object]:
    """The user's values with a placeholder for each missing image, so that Helm reports the other errors."""
    complete = loaded.user
    for part in chart_parts:
        for name in missing_images(part.values) if part.has_rules else ():
            given: object = PLACEHOLDER
            for key in reversed(part.outer_path(parse_dotted(name))):
                given = {key: given}
            complete = values.merge(complete, given)
    return complete


_NAMED = re.compile(r"^((?:[a-z]\w*\.)*[a-z]\w*)(?::|(?= is )) (.*)$", re.DOTALL)


def _render_finding(error: helm.RenderError, chart_parts: Sequence[Part]) -> Finding:
    """The finding of a template error. Messages of our templates start with a value; others refer to the
    template."""
    part = parts.of_template(chart_parts, error.template)
    loaded = part.values
    named = _NAMED.match(error.message)
    path = parse_dotted(named[1]) if named else ()
    if path and path[:1] == part.path[-1:] and path[0] not in loaded.merged:
        path = path[1:]  # the name as the parent chart has it
    # A value that the user set to null is no longer in the merged values.
    if named and path and any(path[0] in known for known in (loaded.merged, loaded.user)):
        message, _, fix = named[2].partition(". ")
        position = loaded.position(path)
        fix = fix and f"{fix}."
        return part.outer(Finding(position, Severity.ERROR, "MRC006", path, f"{message.rstrip('.')}.", fix))
    file = part.chart
    if error.template:
        # The template's path has the name of the topmost chart, and charts/<name> for each dependency.
        file = file.joinpath(*Path(error.template).parts[1 + 2 * len(part.path) :])
    position = Position(str(file), error.line, 1 if error.line else 0)
    return Finding(
        position, Severity.ERROR, "MRC006", (), f"Helm cannot render the chart: {error.message}.", ""
    )


def _is_reported(finding: Finding, by_rules: list[Finding]) -> bool:
    """Whether a rule reported the cause of a template error: its value, one inside it, or one that it
    names."""
    errors = [other.path for other in by_rules if other.severity is Severity.ERROR]
    return bool(finding.path) and any(
        path[: len(finding.path)] == finding.path or findings.dotted(path) in finding.message
        for path in errors
    )


def _rejections(rendered: Mapping[str, str], chart: Path, loaded: Values) -> Iterator[Finding]:
    for rejection in kubeschema.check(rendered):
        path = _source(rejection, loaded)
        position = loaded.position(path) if path else Position(str(chart))
        where = ", ".join(filter(None, (rejection.object, rejection.field)))
        message = f"Kubernetes rejects {where}: {rejection.message}."
        yield Finding(position, Severity.ERROR, "MRC007", path, message, "Change this value." if path else "")


def _source(rejection: kubeschema.Rejection, loaded: Values) -> ValuePath:
    """The user's value that the rejected part of an object was rendered from, if there is one."""
    for document in reversed(loaded.given):
        for path in document.positions:
            value = values.lookup(document.values, path)
            if path and value not in (None, "", {}, []) and _became(value, rejection.instance):
                return path
    return ()


def _became(value: Any, instance: Any) -> bool:
    """Whether a value was rendered as it is; the chart adds a namespace to an object that has none."""
    if isinstance(value, dict) and isinstance(instance, dict) and "kind" in value:
        metadata = value.get("metadata")
        added = {"namespace": (instance.get("metadata") or {}).get("namespace")}
        return instance == value | ({"metadata": added | metadata} if isinstance(metadata, dict) else {})
    return bool(value == instance)
