"""Validation of a chart's values: every check in one go, its findings in reading order."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrc_cli import findings
from mrc_cli.findings import Finding, Position, Severity, ValuePath, parse_dotted, shortened

from mrc_values import helm, kubeschema, schema, values
from mrc_values.rules import RULES, Context
from mrc_values.rules.images import PLACEHOLDER, missing_images
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
    chart: Path,
    files: Sequence[Path] = (),
    sets: Sequence[str] = (),
    release: str | None = None,
    namespace: str = "default",
) -> Result:
    """Checks the values of ``chart`` under files and ``--set`` expressions.

    ``release`` is the name that Helm renders with, by default the chart's, and ``namespace`` the release's.
    Raises UsageError for a chart or file that is not there.
    """
    loaded, found = values.load(chart, files, sets)
    found += [*_sections_taken_away(loaded), *_ignored_by_helm(loaded)]
    if any(finding.rule in ("MRC001", "MRC005") for finding in found):
        # Without the values of that file or section all else would be about what is not there.
        return Result(findings.sort(found), loaded)
    by_schema = schema.check(chart, loaded)
    by_rules = list(_rules(chart, loaded, _unusable(by_schema)))
    found += _merged(by_schema, by_rules)
    if findings.failing(by_schema):
        # Helm would only repeat what the schema said.
        return Result(findings.sort(found), loaded)
    rendered: Mapping[str, str] = {}
    try:
        rendered = helm.render(
            chart, _complete(loaded), release or helm.metadata(chart).get("name", "release"), namespace
        )
        found += _refusals(rendered, chart, loaded)
    except helm.RenderError as error:
        finding = _render_finding(error, chart, loaded)
        if not _said(finding, by_rules):
            found.append(finding)
    return Result(findings.sort(found), loaded, rendered)


def _sections_taken_away(loaded: Values) -> Iterator[Finding]:
    """A whole section that is null, as when all its lines are commented out."""
    for name, value in loaded.user.items():
        if value is None and any(isinstance(document.values.get(name), dict) for document in loaded.defaults):
            place = loaded.place((name,), key=True)
            message = "is empty here, which takes all its defaults away."
            yield Finding(place, Severity.ERROR, "MRC005", (name,), message, "Take this line out as well.")


def _ignored_by_helm(loaded: Values) -> Iterator[Finding]:
    """A plain value where the chart has a section: Helm keeps the section and says so in a warning only."""
    for document in loaded.given:
        for path in values.paths(document.values):
            value, kept = values.lookup(document.values, path), values.lookup(loaded.merged, path)
            if isinstance(kept, dict) and value is not None and not isinstance(value, dict):
                message = f"{schema.shown(value)} is not names with values, and Helm ignores it."
                fix = "Write it as `name: value` lines, or take it out."
                place = document.places.get(path, document.nearest(path))
                yield Finding(place, Severity.ERROR, "MRC004", path, message, fix)


def _merged(by_schema: list[Finding], by_rules: list[Finding]) -> list[Finding]:
    """One finding a mistake: a rule says more than a pattern does, and the schema more about a type."""
    explained = {finding.path for finding in by_rules if finding.severity is Severity.ERROR}
    mistyped = {finding.path for finding in by_schema if finding.rule in ("MRC004", "MRC005")}
    return [
        *(finding for finding in by_schema if finding.rule != "MRC009" or finding.path not in explained),
        *(finding for finding in by_rules if finding.path not in mistyped),
    ]


def _unusable(by_schema: list[Finding]) -> frozenset[ValuePath]:
    """What the schema refuses, and the names that misspelt ones were meant to be."""
    errors = [finding for finding in by_schema if finding.severity is Severity.ERROR]
    paths = [path for finding in errors for path in (finding.path, finding.meant)]
    return frozenset(path for path in paths if path is not None)


def _rules(chart: Path, loaded: Values, unusable: frozenset[ValuePath]) -> Iterator[Finding]:
    context = Context(loaded, unusable)
    for rule in RULES.values():
        for violation in rule.check(context) if rule.check else ():
            path = parse_dotted(violation.name)
            if path[0] not in loaded.merged:
                continue  # a chart without that section
            if path in unusable and not loaded.sets(violation.name):
                continue  # its name is misspelt, and it is not missing
            severity = violation.severity or rule.severity
            message, fix = shortened(violation.message), shortened(violation.fix)
            yield Finding(loaded.place(path), severity, rule.id, path, message, fix)


def _complete(loaded: Values) -> dict[str, object]:
    """The user's values with something for each one that is missing and reported as such.

    So that Helm shows what else is wrong.
    """
    complete = loaded.user
    for name in missing_images(loaded):
        given: object = PLACEHOLDER
        for part in reversed(parse_dotted(name)):
            given = {part: given}
        complete = values.merge(complete, given)
    return complete


_NAMED = re.compile(r"^((?:[a-z]\w*\.)*[a-z]\w*)(?::|(?= is )) (.*)$", re.DOTALL)


def _render_finding(error: helm.RenderError, chart: Path, loaded: Values) -> Finding:
    """Our templates' messages start with the value that they are about; others are placed in the template."""
    named = _NAMED.match(error.message)
    # What the user set to null is in the merged values no more.
    if named and any(named[1].split(".")[0] in known for known in (loaded.merged, loaded.user)):
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
    """Whether a rule reported what made a template fail: about its value, one in it, or one it names."""
    errors = [other.path for other in by_rules if other.severity is Severity.ERROR]
    return bool(finding.path) and any(
        path[: len(finding.path)] == finding.path or findings.dotted(path) in finding.message
        for path in errors
    )


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
    for document in reversed(loaded.given):
        for path in document.places:
            value = values.lookup(document.values, path)
            if path and value == refusal.instance and value not in (None, "", {}, []):
                return path
    return ()
