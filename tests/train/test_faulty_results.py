"""Results of mrc-predict and mrc-report that cannot be written: one line that names the file."""

import json
import os
import shutil
from pathlib import Path

import tiny

SCRIPT = Path(__file__).with_name("faulty_results.py")


def test_results_that_cannot_be_written_are_one_line_and_what_was_there_stays(
    faulty_files: Path, finished: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    image = shutil.copy(min((tiny_scenes / "val2017").iterdir()), tmp_path / "image.png")
    (tmp_path / "out").mkdir()
    done = tiny.run("python", SCRIPT, finished, image, tmp_path / "out", LD_PRELOAD=str(faulty_files))
    assert done.returncode == 0, done.stderr[-3000:]
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('["')]
    assert len(results) == 30
    for directory, name, number, code, stderr, content, others in results:
        *_, line = stderr.splitlines()
        assert code == 1, (name, stderr)
        assert line.startswith(("mrc-predict: error: ", "mrc-report: ", "mrc-serve: ")), line
        assert f": {directory}/" in line and f": {os.strerror(number).lower()}" in line, line
        assert f"/{name}: " in line or f"{directory}/model: " in line, line
        assert stderr.lower().count(os.strerror(number).lower()) == 1
        assert "Traceback" not in stderr
        assert content in (None, "old"), name
        assert others in ([], ["curves.png"]), (name, others)
