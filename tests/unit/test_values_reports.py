"""Findings in machine-readable formats."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from mrc_cli import reports
from mrc_cli.findings import Finding, Position, Severity
from mrc_values.check import check
from mrc_values.rules import RULES, TOOL
from values_files import CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")

IN_A_FILE = Finding(
    Position("my values.yaml", 12, 9),
    Severity.ERROR,
    "MRC014",
    ("maskrcnn", "gpus"),
    "20 is not a multiple of 8.",
    "Set gpus to 16 or 24.",
)
IN_A_FLAG = Finding(
    Position("--set maskrcnn.env.A=1"), Severity.WARNING, "MRC070", ("maskrcnn", "env", "A"), "100% odd.", ""
)


def test_sarif_has_the_position_of_a_finding() -> None:
    log = json.loads(reports.as_sarif([IN_A_FILE], TOOL))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    (rule,) = run["tool"]["driver"]["rules"]
    assert (rule["id"], rule["defaultConfiguration"]) == ("MRC014", {"level": "error"})
    assert run["results"] == [
        {
            "ruleId": "MRC014",
            "ruleIndex": 0,
            "level": "error",
            "message": {"text": "20 is not a multiple of 8. Set gpus to 16 or 24."},
            "locations": [
                {
                    "logicalLocations": [{"fullyQualifiedName": "maskrcnn.gpus", "kind": "member"}],
                    "physicalLocation": {
                        "artifactLocation": {"uri": "my%20values.yaml"},
                        "region": {"startLine": 12, "startColumn": 9},
                    },
                }
            ],
        }
    ]


def test_sarif_contains_the_source_line_for_viewers_without_the_file(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_bytes(b"\xef\xbb\xbfmaskrcnn:\r\n  gpus: 20  # two nodes\r\n")
    log = json.loads(reports.as_sarif([replace(IN_A_FILE, position=Position(str(file), 2, 9))], TOOL))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["region"] == {"startLine": 2, "startColumn": 9}
    assert place["contextRegion"] == {"startLine": 2, "snippet": {"text": "  gpus: 20  # two nodes"}}
    jsonschema.Draft4Validator(OFFICIAL).validate(log)


def test_sarif_of_a_pipe_contains_no_source_line(tmp_path: Path) -> None:
    pipe = tmp_path / "values.yaml"
    os.mkfifo(pipe)
    argv: list[str | Path] = [PROGRAM, "validate", CHART, "-f", pipe, "--format=sarif"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as program:
        pipe.write_text("maskrcnn: {gpus: few}\n")
        log = json.loads(program.communicate(timeout=60)[0])
    (place,) = (
        result["locations"][0]["physicalLocation"]
        for result in log["runs"][0]["results"]
        if "MRC004" in result["ruleId"]
    )
    assert place == {"artifactLocation": {"uri": str(pipe)}, "region": {"startLine": 1, "startColumn": 18}}


def test_sarif_contains_the_reason_and_examples_of_a_rule() -> None:
    (rule,) = json.loads(reports.as_sarif([IN_A_FILE], TOOL))["runs"][0]["tool"]["driver"]["rules"]
    assert rule["name"] == rule["shortDescription"]["text"] == RULES["MRC014"].title
    why, fails, passes, command = rule["help"]["text"].split("\n\n")
    assert why == rule["fullDescription"]["text"] == " ".join(RULES["MRC014"].why.split())
    assert fails == f"Fails:\n{RULES['MRC014'].failing}"
    assert passes == f"Passes:\n{RULES['MRC014'].passing}"
    assert command == "mrc-values explain MRC014"


def test_sarif_names_the_flag_of_a_finding_without_a_file() -> None:
    (result,) = json.loads(reports.as_sarif([IN_A_FLAG], TOOL))["runs"][0]["results"]
    assert result["message"]["text"] == "--set maskrcnn.env.A=1: 100% odd."
    assert "physicalLocation" not in result["locations"][0]


OFFICIAL = json.loads(Path(__file__).with_name("sarif").joinpath("sarif-schema-2.1.0.json").read_text())
BROKEN = sorted(Path(__file__).with_name("broken").glob("*.yaml"))


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_sarif_matches_the_official_schema(file: Path) -> None:
    log = json.loads(reports.as_sarif(check(CHART, [file]).findings, TOOL))
    jsonschema.Draft4Validator(OFFICIAL).validate(log)
    assert log["$schema"] == OFFICIAL["id"]
    assert log["runs"][0]["results"]


@pytest.mark.parametrize("findings", [[], [IN_A_FLAG], [IN_A_FILE, IN_A_FLAG]], ids=len)
def test_sarif_is_valid_without_findings_and_without_positions(findings: list[Finding]) -> None:
    jsonschema.Draft4Validator(OFFICIAL).validate(json.loads(reports.as_sarif(findings, TOOL)))


def test_the_official_schema_rejects_an_unknown_level() -> None:
    log = json.loads(reports.as_sarif([IN_A_FILE], TOOL))
    log["runs"][0]["results"][0]["level"] = "bad"
    assert not jsonschema.Draft4Validator(OFFICIAL).is_valid(log)


JSON_SHAPE = {
    "type": "array",
    "items": {
        "type": "object",
        "additionalProperties": False,
        "required": ["file", "line", "column", "severity", "rule", "value", "message", "fix"],
        "properties": {
            "file": {"type": "string", "minLength": 1},
            "line": {"type": ["integer", "null"], "minimum": 1},
            "column": {"type": ["integer", "null"], "minimum": 1},
            "severity": {"enum": ["error", "warning", "info"]},
            "rule": {"pattern": r"^MRC\d{3}$"},
            "value": {"type": ["string", "null"], "minLength": 1},
            "message": {"type": "string", "minLength": 1},
            "fix": {"type": ["string", "null"], "minLength": 1},
        },
    },
}
"""The output of --format json as documented in docs/mrc-values.md."""


@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_json_has_the_documented_shape(file: Path) -> None:
    report = json.loads(reports.as_json(check(CHART, [file], ["maskrcnn.gpus=20"]).findings))
    jsonschema.Draft202012Validator(JSON_SHAPE).validate(report)
    assert report


def test_every_key_of_json_is_documented() -> None:
    page = (CHART.parents[1] / "docs" / "mrc-values.md").read_text()
    keys = JSON_SHAPE["items"]["properties"]  # type: ignore[index]
    assert all(f"`{key}`" in page for key in keys)


def test_sarif_without_findings_is_a_run_without_results() -> None:
    (run,) = json.loads(reports.as_sarif([], TOOL))["runs"]
    assert run["results"] == run["tool"]["driver"]["rules"] == []


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        (
            IN_A_FILE,
            "::error title=MRC014 maskrcnn.gpus,file=my values.yaml,line=12,col=9::"
            "20 is not a multiple of 8. Set gpus to 16 or 24.",
        ),
        (IN_A_FLAG, "::warning title=MRC070 maskrcnn.env.A::--set maskrcnn.env.A=1: 100%25 odd."),
    ],
)
def test_github_shows_a_finding_at_its_line(finding: Finding, line: str) -> None:
    assert reports.as_github([finding]) == line


@pytest.mark.parametrize(("flags", "code"), [([], 0), (["--strict"], 1)])
def test_strict_makes_a_warning_fail(flags: list[str], code: int) -> None:
    values = ["--set=maskrcnn.image=a/b:latest", "--set=maskrcnn.node_group=p4d"]
    done = subprocess.run([PROGRAM, "validate", CHART, *values, *flags], capture_output=True, text=True)
    assert "warning MRC021" in done.stdout
    assert done.returncode == code
