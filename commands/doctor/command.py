"""Look at everything, print one screen, and exit with 1 where something that is needed is broken."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from commands.doctor.data import look_at_data
from commands.doctor.dvc_files import look_at_locks, look_at_shared_files
from commands.doctor.environments import find_device, find_environment_python, look_at_environments
from commands.doctor.findings import BROKEN, Finding, Group, conclude, layout
from commands.doctor.machine import look_at_machine
from commands.doctor.objects.cache import look_at_cache
from commands.doctor.objects.remote import look_at_remote
from commands.doctor.tools import look_at_tools

FACTS_SECONDS = {"project": 60, "remote": 30}


def ask(python: str, what: str, *words: str) -> dict[str, Any]:
    """Ask the environment's libraries for facts; without a whole answer return what there is, and the `problem`.

    With the word `everything` they may take as long as they need.
    """
    if not python:
        return {"problem": "not looked at without .venv"}
    command = [python, "-W", "ignore", "-m", "commands.doctor.facts", what, *words]
    seconds = None if "everything" in words else FACTS_SECONDS[what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            answer, errors = process.communicate(timeout=seconds)
            problem = [*errors.strip().splitlines(), f"exit code {process.returncode}"][-2:][0][:120]
        except subprocess.TimeoutExpired:
            process.kill()
            answer, errors = process.communicate()
            problem = f"no answer within {seconds} s"
    facts: dict[str, Any] = json.loads((answer.splitlines() or ["{}"])[-1])
    return facts | {"problem": problem} if process.returncode else facts


def examine(*, mend: bool, everything: bool) -> list[Group]:
    """Look at everything; with `mend`, move aside what only stands in the way."""
    python = find_environment_python()
    with ThreadPoolExecutor() as pool:
        words = [word for word, is_asked in (("everything", everything), ("mend", mend)) if is_asked]
        asked = pool.submit(ask, python, "remote", *words)
        facts = pool.submit(ask, python, "project").result()
        known = "problem" not in facts  # what is not known here, a lock of another machine too, is not moved
        machine = look_at_machine(facts, find_device())
        has_gpu = any(finding.name == "GPU" and finding.state == "ok" for finding in machine)
        faults = [Finding("params.yaml", BROKEN, facts["params"])] if "params" in facts else []
        if python and not known:
            faults = [Finding("DVC", BROKEN, f"cannot be asked, so nothing is mended: {facts['problem']}")]
        remote = asked.result()
        return [
            ("machine", machine),
            ("environments", look_at_environments(has_gpu=has_gpu)),
            ("tools", look_at_tools(facts)),
            (
                "project",
                [
                    *look_at_shared_files(),
                    *faults,
                    look_at_locks(facts, mend=mend and known),
                    *look_at_cache(facts, remote, mend=mend and known, everything=everything),
                    *look_at_remote(remote, everything=everything),
                    *look_at_data(facts, everything=everything),
                ],
            ),
        ]


def main(words: list[str] | None = None) -> None:
    """Print what is here; exit with 1 where something that is needed is broken."""
    parser = argparse.ArgumentParser(prog="python -m commands.doctor", description=__doc__)
    parser.add_argument("--mend", action="store_true", help="move aside what only stands in the way; deletes nothing")
    parser.add_argument("--all", action="store_true", help="read all of DVC's cache and of the store, not a sample")
    arguments = parser.parse_args(words)
    groups = examine(mend=arguments.mend, everything=arguments.all)
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print("\n".join([*layout(groups, coloured=coloured), "", conclude(groups)]))
    if any(finding.state == BROKEN for _, findings in groups for finding in findings):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
