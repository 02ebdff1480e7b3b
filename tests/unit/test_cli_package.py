"""mrc_cli, the package that every command line shares."""

import json
import os
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import mrc_cli
import pytest
from mrc_cli import reports, terminal
from mrc_cli.command import run
from mrc_cli.errors import ServiceError, UsageError, UserError
from mrc_cli.files import write_atomically
from mrc_cli.findings import Finding, Position, RuleInfo, Severity, dotted, parse_dotted
from mrc_cli.progress import progress, tracked
from mrc_cli.stderr import filtered_stderr
from mrc_cli.suggestions import nearest

# Files


def test_a_file_is_replaced_atomically_and_no_temporary_file_is_left(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text("old")
    write_atomically(file, "new\n")
    assert file.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_with_secrets_is_never_readable_by_others(tmp_path: Path) -> None:
    write_atomically(tmp_path / "secret", b"\x00\xff", mode=0o600)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "secret").read_bytes() == b"\x00\xff"


def test_a_failed_write_keeps_the_old_content_and_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "content").touch()
    with pytest.raises(OSError) as caught:
        write_atomically(tmp_path / "file", "new")
    assert (caught.value.filename, caught.value.filename2) == (str(tmp_path / "file"), None)
    assert [path.name for path in tmp_path.rglob("*")] == ["file", "content"]


def test_a_symbolic_link_is_replaced_and_its_target_is_unchanged(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("other")
    (tmp_path / "link").symlink_to("other")
    write_atomically(tmp_path / "link", "new")
    assert ((tmp_path / "link").read_text(), (tmp_path / "other").read_text()) == ("new", "other")


# Terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tab\tand\nline feed", "tab\tand\nline feed"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("100%\rdone", r"100%\rdone"),
        ("\x9b2J", r"\x9b2J"),
        ("admin\u202etxt.exe", r"admin\u202etxt.exe"),
        ("lone \ud800 surrogate", r"lone \ud800 surrogate"),
        ("größe 猫 👩‍🔬", "größe 猫 👩‍🔬"),
    ],
)
def test_control_characters_are_made_visible_and_other_text_is_unchanged(text: str, shown: str) -> None:
    assert terminal.printable(text) == shown


@pytest.mark.parametrize("write", [terminal.say, terminal.result])
def test_every_write_to_the_terminal_is_printable(
    write: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    write("\x1b]0;title\x07")
    captured = capsys.readouterr()
    assert captured.out + captured.err == "\\x1b]0;title\\x07\n"


def test_a_table_is_plain_columns_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table(("name", "state"), [("a-long-name", "ok"), ("b", "[red]\x1b[0m")])
    assert capsys.readouterr().out == ("name         state\na-long-name  ok\nb            [red]\\x1b[0m\n")


def test_a_duration_is_hours_minutes_and_seconds() -> None:
    assert [terminal.clock(seconds) for seconds in (0, 59.6, 3661, 360_000)] == [
        "0:00:00",
        "0:01:00",
        "1:01:01",
        "100:00:00",
    ]


def test_progress_is_a_line_every_ten_seconds_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 4.0, 12.0, 12.0, 15.0, 16.0])
    with progress("copying", 30, "files", now=lambda: next(times)) as advance:
        advance(4)
        advance(8)
        advance(18)
    assert capsys.readouterr().err == (
        "copying: 12/30 files, 0:00:18 left\ncopying: 30/30 files in 0:00:16\n"
    )


# Suggestions


@pytest.mark.parametrize(
    ("name", "meant"), [("gpu_per_node", "gpus_per_node"), ("IMAGE", "image"), ("replicas", None), ("", None)]
)
def test_a_misspelled_name_gets_the_nearest_known_name_or_none(name: str, meant: str | None) -> None:
    assert nearest(name, ["gpus_per_node", "image", "gang"]) == meant


# Native code that writes to stderr


def test_lines_of_native_code_are_filtered_and_the_others_are_printed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with filtered_stderr(lambda line: "notice" in line):
        os.write(2, b"a notice\nan error\n")
    assert capfd.readouterr().err == "an error\n"


def test_lines_of_native_code_are_printed_when_the_block_fails(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError), filtered_stderr(lambda line: False):
        os.write(2, b"the reason\n")
        raise ValueError
    assert capfd.readouterr().err == "the reason\n"


# The edge of a command


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("no such run. Start one."), 1, "tool: no such run. Start one.\n"),
        (UsageError("--from: missing."), 2, "tool: --from: missing.\n"),
        (ServiceError("the cluster cannot be reached."), 3, "tool: the cluster cannot be reached.\n"),
        (FileNotFoundError(2, "No such file", "a\x1b.yaml"), 1, "tool: a\\x1b.yaml: no such file\n"),
        (OSError("disk gone"), 1, "tool: disk gone\n"),
        (OSError(28, "No space left on device", "a\nb"), 1, "tool: a\\nb: no space left on device\n"),
        (UserError("a\nb: no such run."), 1, "tool: a\\nb: no such run.\n"),
        (
            shutil.Error([("a", "b", "[Errno 28] No space left on device: 'b'"), ("c", "d", "the same")]),
            1,
            "tool: b: [Errno 28] No space left on device\n",
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_of_the_user_ends_a_command_with_one_line_and_its_exit_code(
    error: Exception, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as end:
        run("tool", fail)
    assert (end.value.code, capsys.readouterr()) == (code, ("", line))


def test_an_unexpected_error_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run("tool", lambda: 1 / 0)


def test_a_closed_pipe_ends_a_command_without_a_message() -> None:
    program = (
        "from mrc_cli.command import run\nfrom mrc_cli.terminal import result\n"
        "run('tool', lambda: [result('x' * 1000) for _ in range(1000)])"
    )
    command = f'{sys.executable} -c "{program}" | head -1'
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert (len(done.stdout), done.stderr) == (1001, "")


# Findings of another tool

RULE = RuleInfo("DAT001", Severity.ERROR, "boxes are inside the image", "A box outside.", "a: 1", "a: 2")
TOOL = reports.Tool("mrc-data", {RULE.id: RULE})
FINDING = Finding(
    Position("instances.json", 3, 7),
    Severity.ERROR,
    "DAT001",
    ("annotations", 4, "bbox"),
    "is outside.",
    "Clip it.",
)


def test_a_report_names_its_own_tool() -> None:
    driver = json.loads(reports.as_sarif([FINDING], TOOL))["runs"][0]["tool"]["driver"]
    assert driver["name"] == "mrc-data"
    assert driver["rules"][0]["help"]["text"].endswith("mrc-data explain DAT001")


def test_a_finding_is_one_line_with_position_rule_value_message_and_fix() -> None:
    assert str(FINDING) == ("instances.json:3:7: error DAT001 annotations[4].bbox: is outside. Clip it.")


def test_a_dotted_path_is_parsed_back() -> None:
    assert parse_dotted(dotted(FINDING.path)) == FINDING.path


def test_the_package_needs_no_other_package_to_be_imported() -> None:
    modules = [module.name for module in pkgutil.iter_modules(mrc_cli.__path__)]
    imports = "; ".join(f"import mrc_cli.{module}" for module in modules)
    program = f"import sys; {imports}; print({{'rich', 'yaml', 'typer', 'mrc_values'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout == "set()\n"


def test_tracked_items_are_all_yielded_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(tracked(["a", "b"], "reading", "files")) == ["a", "b"]
    assert capsys.readouterr().err == "reading: 2/2 files in 0:00:00\n"
