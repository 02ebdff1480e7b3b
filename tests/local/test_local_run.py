"""`mrc-values local` with a real mpirun and two real ranks; ranks.py replaces the trainer."""

import json
import os
import re
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from local_run import PROGRAM, ROOT, LocalRun, end, until


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[LocalRun, subprocess.CompletedProcess[str]]:
    """A finished run of four steps, and the result of its `up`."""
    run = LocalRun(tmp_path_factory.mktemp("finished"))
    return run, run.call("up", steps=4)


Finished = tuple[LocalRun, subprocess.CompletedProcess[str]]


def test_up_runs_two_ranks_that_communicate(finished: Finished) -> None:
    run, up = finished
    assert up.returncode == 0, up.stderr
    ranks = [json.loads((run.run_dir / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    assert [(rank["rank"], rank["size"], rank["sum"]) for rank in ranks] == [(0, 2, 11), (1, 2, 11)]
    assert run.processes() == {}


def test_directories_replace_the_mounts(finished: Finished) -> None:
    run, _ = finished
    rank = json.loads((run.run_dir / "rank-0.json").read_text())
    assert (rank["shared_fs"], rank["data_fs"]) == (f"{run.directory}/efs", f"{run.directory}/efs")
    assert f"DATA.BASEDIR={run.directory}/efs/data" in rank["config"]


def test_output_goes_to_stdout_and_to_the_log_in_the_run_directory(finished: Finished) -> None:
    run, up = finished
    assert re.findall(r"step=\d/4", up.stdout) == ["step=1/4", "step=2/4", "step=3/4", "step=4/4"]
    assert up.stdout in (run.run_dir / "launcher.log").read_text()
    assert up.stderr.splitlines()[-1] == "finished."


def test_down_of_a_finished_run_reports_it_and_keeps_the_run_directory(finished: Finished) -> None:
    run, _ = finished
    down = run.call("down")
    assert (down.returncode, down.stderr.splitlines()[0]) == (0, "nothing was running.")
    assert (run.run_dir / "progress.json").exists()
    assert run.state()["state"] == "finished"


def test_escape_sequences_in_a_log_do_not_reach_the_terminal(finished: Finished) -> None:
    run, _ = finished
    with (run.run_dir / "launcher.log").open("a") as log:
        print("\x1b[32mgreen\x1b[0m \x1b]0;title\x07 \x1b[2J", file=log)
    assert run.call("logs").stdout.endswith("green \\x1b]0;title\\x07 \\x1b[2J\n")


def test_only_the_user_can_read_the_state(finished: Finished) -> None:
    run, _ = finished
    releases = run.directory / "releases"
    assert releases.stat().st_mode & 0o077 == 0
    modes = {path.name: path.stat().st_mode & 0o777 for path in releases.iterdir()}
    assert {modes[f"trial{suffix}"] for suffix in (".json", ".yaml", ".hosts", ".lock")} == {0o600}, modes


@pytest.mark.parametrize("owner", [None, "another run"])
def test_down_never_deletes_a_directory_that_it_did_not_make(
    finished: Finished, tmp_path: Path, owner: str | None
) -> None:
    run, _ = finished
    precious = tmp_path / "mrc-precious"
    precious.mkdir()
    if owner:
        (precious / ".mrc-local-run").write_text(owner)
    state = run.directory / "releases" / "trial.json"
    original = state.read_text()
    state.write_text(json.dumps(json.loads(original) | {"scratch": str(precious)}))
    try:
        assert run.call("down").returncode == 0
        assert precious.is_dir()
    finally:
        state.write_text(original)


def test_a_lock_file_that_is_a_symbolic_link_is_not_followed(run: LocalRun, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("content")
    (run.directory / "releases").mkdir()
    (run.directory / "releases" / "trial.lock").symlink_to(target)
    up = run.call("up")
    assert up.returncode == 1
    assert up.stderr.endswith("trial.lock is a symbolic link. Remove it.\n")
    assert target.read_text() == "content"


def test_open_mpis_temporary_files_are_removed(finished: Finished) -> None:
    run, _ = finished
    scratch = json.loads((run.directory / "releases" / "trial.json").read_text())["scratch"]
    assert Path(scratch).parent.is_dir() and not Path(scratch).exists()


def test_when_a_rank_fails_up_exits_with_1_and_prints_the_error(run: LocalRun) -> None:
    up = run.call("up", steps=200, FAIL_RANK="1")
    assert up.returncode == 1
    assert up.stderr.splitlines()[-2] == "failed with exit code 3: ValueError: image 7 has no pixels"
    assert run.state()["state"] == "failed"
    assert run.processes() == {}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_the_ranks_clean_up_and_stops_every_process(
    run: LocalRun, number: int, code: int
) -> None:
    up = run.start(steps=2000)
    assert end(up, number)[0] == code
    assert [(run.run_dir / f"terminated-{rank}").exists() for rank in (0, 1)] == [True, True]
    assert run.processes() == {}
    assert run.state()["state"] == "stopped"


def test_a_killed_launcher_fails_the_run_and_up_resumes_it(run: LocalRun) -> None:
    up = run.start(steps=2000)
    os.kill(run.launcher_pid(), signal.SIGKILL)
    assert up.wait(timeout=30) == 1
    assert run.processes() == {}
    assert "the launcher was killed by SIGKILL" in (run.run_dir / "launcher.log").read_text()
    reached = run.step()
    again = run.call("up", steps=reached + 2)
    assert again.returncode == 0
    assert re.findall(rf"step=(\d+)/{reached + 2}", again.stdout) == [str(reached + 1), str(reached + 2)]
    log = (run.run_dir / "launcher.log").read_text()
    assert len(re.findall(r"^--- .* trial: 2 ranks$", log, re.MULTILINE)) == 2


def test_a_killed_rank_fails_the_run_with_mpiruns_message(run: LocalRun) -> None:
    up = run.start(steps=2000)
    os.kill(run.rank_pids()[0], signal.SIGKILL)
    output, _ = up.communicate(timeout=30)
    assert up.returncode == 1
    assert re.search(
        r"^failed with exit code 137: mpirun noticed .* exited on signal 9 \(Killed\)", output, re.MULTILINE
    )
    assert run.processes() == {}


def test_after_a_killed_supervisor_up_ends_the_orphaned_ranks_before_it_starts(run: LocalRun) -> None:
    up = run.start(steps=2000)
    orphans = run.rank_pids()
    for pid in set(run.processes()) - set(orphans):
        os.kill(pid, signal.SIGSTOP)  # otherwise mpirun may notice that its output is closed and end them
    assert end(up)[0] == -signal.SIGKILL
    assert run.state()["state"] == "lost"
    again = run.call("up", steps=1)
    assert again.returncode == 0
    assert re.search(r"ended 4 processes that an earlier run left behind", again.stderr)
    assert not set(orphans) & set(run.processes())
    assert run.processes() == {}


def test_a_second_up_is_rejected_while_the_first_is_running(run: LocalRun) -> None:
    up = run.start(steps=2000)
    second = run.call("up")
    assert second.returncode == 1
    assert second.stderr.startswith("mrc-values: trial is already running.")
    assert len(run.rank_pids()) == 2
    end(up, signal.SIGINT)


def test_detach_returns_at_once_and_status_logs_and_down_work_on_it(run: LocalRun) -> None:
    started = time.monotonic()
    assert run.call("up", "--detach", steps=4000).returncode == 0
    assert time.monotonic() - started < 15
    until(lambda: run.step() >= 3, "step 3")
    state = run.state()
    assert (state["state"], state["ranks_alive"], state["progress"]["steps"]) == ("running", 2, 4000)
    table = run.call("status").stdout
    assert re.search(r"trial +running +2/2 +\d+/4000 +1/1 +0\.5000 +20\.0 +0:00:01", table), table
    with subprocess.Popen(run.argv("logs", "-f"), stdout=subprocess.PIPE, text=True) as logs:
        until(lambda: run.step() >= 6, "step 6")
        down = run.call("down")
        output, _ = logs.communicate(timeout=20)
    assert down.stderr.startswith("stopped.\nkept: ")
    assert "step=6/4000" in output
    assert run.processes() == {}
    assert run.state()["state"] == "stopped"


def test_status_warns_of_a_run_without_a_step_for_minutes(run: LocalRun) -> None:
    assert run.call("up", "--detach", steps=4000).returncode == 0
    until(lambda: run.step() >= 3, "step 3")
    for pid in run.rank_pids():
        os.kill(pid, signal.SIGSTOP)
    progress = json.loads((run.run_dir / "progress.json").read_text())
    progress["time"] = (datetime.now(UTC) - timedelta(minutes=12)).isoformat()
    (run.run_dir / "progress.json").write_text(json.dumps(progress))
    edited = json.loads((run.directory / "releases" / "trial.json").read_text())
    edited["started"] = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    (run.directory / "releases" / "trial.json").write_text(json.dumps(edited))
    assert "trial: warning: no step for 12 min." in run.call("status").stdout
    assert 700 < run.state()["seconds_since_step"] < 800


def test_every_command_that_up_and_down_print_works_as_printed(run: LocalRun) -> None:
    """With values from stdin, which a command that resumes can no longer read."""
    values = "maskrcnn: {extra_config: [TRAIN.WARMUP=7]}"
    up = run.call("up", "--detach", "-f", "-", steps=4000, stdin=values)
    until(lambda: run.step() >= 3, "step 3")
    follow, stop = re.findall(r"`(.*?)`", up.stderr)
    with subprocess.Popen(**in_a_shell(follow), stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout and "step=" in "".join(logs.stdout.readline() for _ in range(6))
        down = subprocess.run(**in_a_shell(stop), capture_output=True, text=True, timeout=60)
        logs.communicate(timeout=20)
    reached = run.step()
    resume = down.stderr.partition("Resume with: ")[2].strip()
    with subprocess.Popen(**in_a_shell(resume), stdout=subprocess.PIPE, text=True) as resumed:
        until(lambda: run.step() > reached, "a later step")
        resumed.send_signal(signal.SIGINT)
        output, _ = resumed.communicate(timeout=40)
    assert re.findall(r"step=(\d+)/4000", output)[0] == str(reached + 1)
    rank = json.loads((run.run_dir / "rank-0.json").read_text())
    assert rank["first"] == reached + 1 and "TRAIN.WARMUP=7" in rank["config"]
    assert run.processes() == {}


def in_a_shell(command: str) -> dict[str, Any]:
    """Arguments that run a printed command as a user does, with the program in PATH."""
    path = f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}"
    return {"args": f"exec {command}", "shell": True, "env": {**os.environ, "PATH": path}}


@pytest.mark.parametrize(
    ("verb", "more", "code", "text"),
    [
        ("down", (), 1, "mrc-values: no local release trial in "),
        ("logs", (), 1, "mrc-values: no local release trial in "),
        (
            "up",
            ("--set", "maskrcnn.train_script=/x/train.py"),
            1,
            "mrc-values: maskrcnn.train_script /x/train.py is ",
        ),
        (
            "up",
            ("--set", "maskrcnn.working_dir=/nowhere"),
            1,
            "mrc-values: maskrcnn.working_dir /nowhere is a ",
        ),
        (
            "up",
            ("--set", "maskrcnn.train_script=,maskrcnn.backbone_weights=", "--tensorboard"),
            1,
            "mrc-values: maskrcnn.data_dir: ",
        ),
        (
            "up",
            (
                "--set",
                "maskrcnn.train_script=,maskrcnn.data_dir=charts",
                f"--data-fs={ROOT}",
                "--tensorboard",
            ),
            1,
            "mrc-values: maskrcnn.backbone_weights: ",
        ),
        ("up", ("-f", "no-such-file.yaml"), 2, "mrc-values: no-such-file.yaml: no such file"),
        ("up", ("--dir", "/proc/nowhere"), 1, "mrc-values: /proc/nowhere: no such file or directory"),
        ("up", ("--ranks", "0"), 2, "Error: Invalid value for '--ranks'"),
    ],
)
def test_what_cannot_run_is_rejected_with_one_line(
    run: LocalRun, verb: str, more: tuple[str, ...], code: int, text: str
) -> None:
    argv = run.argv(verb)
    result = subprocess.run([*argv, *more], capture_output=True, text=True, timeout=30)
    assert result.returncode == code, result.stderr
    assert result.stderr.splitlines()[-1].startswith(text)
    assert "Traceback" not in result.stderr
    assert run.processes() == {}


def test_findings_stop_up_before_anything_starts(run: LocalRun) -> None:
    up = run.call("up", "--set", "maskrcnn.gpuz=1")
    assert up.returncode == 1
    assert up.stdout.startswith("--set maskrcnn.gpuz=1: error MRC003 maskrcnn.gpuz: ")
    assert up.stderr.endswith("1 error. Nothing was started.\n")
    assert not run.run_dir.exists()


def test_an_invalid_release_name_is_wrong_usage(run: LocalRun) -> None:
    argv = [part if part != "trial" else "../trial" for part in run.argv("up")]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert (result.returncode, result.stderr.split(",")[0]) == (
        2,
        "mrc-values: ../trial: invalid release name",
    )


def test_warnings_are_shown_and_do_not_stop_the_run(run: LocalRun) -> None:
    up = run.call("up", "--set", "global.source_cidr=0.0.0.0/0", steps=1)
    assert up.returncode == 0
    assert re.findall(r"warning (MRC\d+)", up.stderr) == ["MRC050"]


def test_for_a_release_with_jupyter_up_prints_the_command_that_opens_it(run: LocalRun) -> None:
    up = run.call("up", "--set", "jupyter.enabled=true", "--set", "jupyter.image=lab:1", steps=2)
    assert up.returncode == 0, up.stderr
    assert f"Jupyter: mrc-values local open trial jupyter --dir {run.directory}\n" in up.stderr
