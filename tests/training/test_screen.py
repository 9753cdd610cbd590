"""What a user sees of a training: the mask, a bar, and a curve that DVC plots while it grows."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from stages.lib.core.files import write_json
from stages.lib.training.protocol import FACTS, MASK
from stages.lib.training.screen import LIVE, TrainingScreen
from stages.lib.training.trained_model import write_curve
from tests.support.project import BIN
from tests.support.training import log_entry, wait_until, write_log


def test_a_user_sees_the_mask_the_place_of_the_curve_and_a_bar(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stages.lib.training.screen.time.monotonic", iter([100.0, 102.0]).__next__)
    screen = TrainingScreen("rewild", tmp_path)
    screen.update()
    assert capsys.readouterr().err == ""
    write_log(tmp_path, [log_entry(1, **{"tokens/total": 1000})])  # of a run that was interrupted
    (tmp_path / MASK).write_text("user: Hi\x1b[2J assistant: ⟦Yes.<|eot_id|>⟧\n")
    facts = {"rows": 400, "tokens": 46763, "trained_tokens": 27402, "replies": 420, "max_steps": 13}
    write_json(tmp_path / FACTS, facts)
    screen.update()
    for step in (2, 3):
        write_log(tmp_path, [log_entry(number, **{"tokens/total": 1000 * number}) for number in range(1, step + 1)])
        screen.update()
    lines = Path("data/live/rewild.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["step", "1", "2", "3"]
    screen.close()
    output = capsys.readouterr().err
    assert "400 conversations, 46.8 k tokens; trained: 58.6% of them, in 420 replies to their end of turn." in output
    assert "user: Hi\\x1b[2J assistant: ⟦Yes.<|eot_id|>⟧" in output
    assert "dvc plots show data/live/rewild.csv -x step -y loss" in output
    assert re.search(r"rewild: 3 of 13 steps, .*loss 2.700, 500 tokens/s\n", output)
    assert not Path("data/live/rewild.csv").exists()


def test_the_curve_can_be_plotted_while_dvc_runs_the_stage(tmp_path):
    variables = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    for command in (["git", "init", "-q"], ["dvc", "init", "-q"]):
        subprocess.run(command, cwd=tmp_path, env=variables, check=True)
    (tmp_path / "dvc.yaml").write_text("stages: {train: {cmd: touch began && sleep 60}}\n")
    write_curve(tmp_path / LIVE / "rewild.csv", [log_entry(1), log_entry(2)])
    shown = ["dvc", "plots", "show", str(LIVE / "rewild.csv"), "-x", "step", "-y", "loss", "--show-vega"]
    with subprocess.Popen(["dvc", "repro", "-q"], cwd=tmp_path, env=variables, start_new_session=True) as repro:
        try:
            wait_until(lambda: (tmp_path / "began").exists())
            vega = subprocess.run(shown, cwd=tmp_path, env=variables, capture_output=True, text=True, check=True).stdout
        finally:
            os.killpg(repro.pid, signal.SIGKILL)
    assert [point["loss"] for point in json.loads(vega)["data"]["values"]] == ["2.9", "2.8"]
