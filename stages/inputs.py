"""Check again the small files that params.yaml names, when one of them changed: tasks, questions, judge prompts.

In:  the folders evaluate.tasks_folder and judge.prompts, the file answers.questions
Out: data/inputs.json (a constant: whatever the files hold, nothing that depends on it runs again)

`check` finds the same mistakes when params.yaml changes; it depends on none of these files, so that it can name one
that is not there. What begins the pipeline (`prompts`, `resolve`) waits for this stage.
"""

from pathlib import Path

from stages.lib.checking.inputs import check_inputs
from stages.lib.checking.profile import Profile
from stages.lib.core.files import write_json
from stages.lib.core.sections import PARAMS
from stages.lib.settings.evaluate import Evaluate
from stages.lib.settings.reading import load, run
from stages.lib.settings.sections import Answers, Judge

READS = ("evaluate.tasks", "evaluate.tasks_folder", "evaluate.local_data", "answers.questions", "judge.prompts")


def main() -> None:
    """Check the files."""
    names = {read.partition(".")[2] for read in READS}
    sections = {"evaluate": load(Evaluate), "answers": load(Answers), "judge": load(Judge)}
    params = {name: section.model_dump(include=names) for name, section in sections.items()}
    check_inputs(Profile(str(PARAMS), params, {}, params))
    write_json(Path("data/inputs.json"), {"checked": True})


if __name__ == "__main__":
    run(main)
