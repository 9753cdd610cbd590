"""What a careful user mistypes, and the line that each mistake gets before anything runs."""

# ruff: noqa: E501

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stages.lib.checking.models import read_catalogue
from stages.lib.checking.params import check_all, examine, read_params
from stages.lib.checking.recorded import md5_of
from stages.lib.console.errors import UserError
from tests.support.project import small_params, write_demo, write_model

PARAMS = "params.yaml"
ONLY = "    only:\n      base: base\n"
RICH = "dgms/rich.yaml"
TASK = "demo/tasks/demo_knowledge.yaml"
SINGLE = "demo/judge/single.txt"
ROWS = "demo/tasks/demo_knowledge.jsonl"
QUESTIONS = "demo/questions.jsonl"
# The file, what is replaced in it and by what; the lines. {} is the number of the first line that is replaced, {+1} of
# the one after it.
PARAMS_MISTAKES = [
    # keys
    ("  size: 4\n", "  sise: 4\n", "params.yaml:{}: mix.sise: no such key; did you mean size?"),
    ("  min_turns: 1\n", "", "params.yaml:{mix:}: mix.min_turns: this key is missing: add it"),
    ("  size: 4\n", "  size: 4\n  learning_rate: 1\n", "params.yaml:{+1}: mix.learning_rate: no such key; did you mean train.learning_rate?"),
    ("  duplicate_similarity:", "  similarity:", "params.yaml:{}: mix.similarity: is called duplicate_similarity now"),
    ("  only:\n      base:", "  only:\n      bse:", "params.yaml:{+1}: mix.runs.only.bse: no such key; did you mean base?"),
    ("gate:\n", "gates:\n", "params.yaml:{}: gates: no such section; did you mean gate?"),
    ("profile: demo\n", "profile: demo\nmax_prompts: 3\n", "params.yaml:{+1}: max_prompts: no such section; did you mean prompts.max_prompts?"),
    ("  size: 4\n", "  size: 4\n  seed: 9\n", "params.yaml:{+1}: mix.seed: stands here again, first in line {seed: 13}: leave one out"),
    # YAML
    ("  size: 4\n", "\tsize: 4\n", "params.yaml:{}: a tab stands here: YAML is indented with spaces"),
    ("  size: 4\n", "  size:4\n", "params.yaml:{+1}: cannot be read from here on: the indentation or a colon is wrong, here or a line before"),
    ("  languages: []\n", "  languages: [English\n", "params.yaml:{}: a comma or the closing ] is missing"),
    ("  max_prompts: 420", "  max_prompts: 2026-13-01", "params.yaml: holds a date or time that is not valid (month must be in 1..12): correct it, or put it in quotes"),
    ("  max_prompts: 420", "  max_prompts: !many 420", "params.yaml:{}: cannot be read from here on: could not determine a constructor for the tag '!many'"),
    ("  questions: demo", "  questions: 'demo", "params.yaml:{}: a quote is not closed"),
    # wrong shapes
    ("hub: {}", "hub: 5", "params.yaml:{}: hub: should be keys with values, got 5; write {{}} for none"),
    # values
    ("  size: 4\n", "  size: 20k\n", "params.yaml:{}: mix.size: should be a whole number, got the text '20k'; write 20000"),
    ("  size: 4\n", "  size: 5e5\n", "params.yaml:{}: mix.size: should be a whole number, got 500000.0; write 500000"),
    ("  size: 4\n", "  size: 0\n", "params.yaml:{}: mix.size: should be more than 0, got 0"),
    ("  size: 4\n", "  size:\n", "params.yaml:{}: mix.size: is empty; it should be a whole number"),
    ("  learning_rate: 0.001", "  learning_rate: '1e-3'", "params.yaml:{}: train.learning_rate: should be a number, got the text '1e-3'; write 0.001"),
    ("  scale_auxiliary: false", "  scale_auxiliary: yes", "params.yaml:{}: mix.scale_auxiliary: should be true or false, got the text 'yes'; write true"),
    ("  finish_reasons:\n  - stop\n", "  finish_reasons: stop\n", "params.yaml:{}: validate.finish_reasons: should be a list, got the text 'stop'; write [stop]"),
    ("  license: Apache-2.0\n  max_prompts", "  license: Apache2.0\n  max_prompts", "params.yaml:{}: prompts.license: no licence is known as 'Apache2.0'; did you mean Apache-2.0; of any other give the name and the https:// address"),
    ("  duplicates: flag", "  duplicates: flg", "params.yaml:{}: mix.duplicates: should be off, flag or drop, got the text 'flg'; did you mean flag?"),
    ("  max_dropped_share: 0.15", "  max_dropped_share: 15", "params.yaml:{}: gate.max_dropped_share: should be 1 or less, got 15; for 15 % write 0.15"),
    ("    temperature: 0.7", "    temperature: 7", "params.yaml:{}: generate.sampling.temperature: should be 2 or less, got 7"),
    ("  seed: 42\n", "  seed: 4294967296\n", "params.yaml:{}: train.seed: should be 4294967295 or less, got 4294967296"),
    ("  num_gpus: 0", "  num_gpus: 1", "params.yaml:{train:}: train: num_gpus must be 0 on cpu, and 1 or more on gpu"),
    ("hub: {}", "hub: {wild: {repository: 'https://huggingface.co/datasets/allenai/WildChat-1M', revision: main}}", "params.yaml:{}: hub.wild.repository: is an address; write allenai/WildChat-1M"),
    # ids
    ("- plain\nbases", "- plane\nbases", "params.yaml:{}: dgms: there is no dgms/plane.yaml; did you mean plain?"),
    ("- plain\nbases", "- plain\n- rich\nbases", "params.yaml:{+1}: dgms: rich stands there twice: leave one out"),
    ("- rich\n", "- Rich 1.5\n", "params.yaml:{}: dgms: 'Rich 1.5' is not an id: use lower-case letters, digits, - and _; write rich-1-5"),
    ("bases:\n- base\n", "bases: base\n", "params.yaml:{}: bases: should be a list of ids, got the text 'base'; write [base]"),
    ("bases:\n- base\n", "bases:\n- base\n- rich\n", "params.yaml:{+2}: bases: 'rich' is in dgms and in bases; one of them is enough"),
    ("- blend\n", "- blnd\n", "params.yaml:{}: compare: 'blnd' is not in dgms, bases or mix.runs; did you mean blend?"),
    (ONLY, ONLY.replace("base: base", "base: bse"), "params.yaml:{+1}: mix.runs.only.base: 'bse' is not in bases or dgms; did you mean base?"),
    ("        rich: 1.0\n", "        ritch: 1.0\n", "params.yaml:{}: mix.runs.blend.dgms.ritch: 'ritch' is not in dgms; did you mean rich?"),
    ("        knowledge: 3\n", "        knowlege: 3\n", "params.yaml:{}: mix.runs.blend.auxiliary.knowlege: 'knowlege' is not in auxiliary; did you mean knowledge?"),
    ("  runs:\n", "  runs:\n    rich: {base: base, dgms: {rich: 1.0}}\n", "params.yaml:{+1}: mix.runs.rich: a run cannot have the id of a model: rename it"),
    ("  runs:\n", "  runs:\n    tie: {base: base, dgms: {rich: 1.0}}\n", "params.yaml:{+1}: mix.runs.tie: 'tie' is a judge's choice between equal replies and cannot be an id: rename it"),
    ("  runs:\n", "  runs:\n    size: {base: base, dgms: {rich: 1.0}}\n", "params.yaml:{+1}: mix.runs.size: 'size' cannot be an id: DVC's cache takes no notice of keys of that name: rename it"),
    # runs
    ("        rich: 1.0\n", "        rich: -1.0\n", "params.yaml:{}: mix.runs.blend.dgms.rich: a weight is 0 or more, got -1"),
    ("        plain: 1.0\n      auxiliary: {}", "        plain: 0.0\n      auxiliary: {}", "params.yaml:{-1}: mix.runs.only.dgms: all weights are 0, so nothing is taken: give one DGM a weight above 0"),
    ("        knowledge: 3\n", "        knowledge: al\n", "params.yaml:{}: mix.runs.blend.auxiliary.knowledge: should be a number of rows, all, {tokens: …} or {share: …}, got the text 'al'; did you mean all?"),
    ("        knowledge: 3\n", "        knowledge: {tokens: 3, share: 0.1}\n", "params.yaml:{}: mix.runs.blend.auxiliary.knowledge: give either tokens or share; a plain number is rows"),
    ("        knowledge: 3\n", "        knowledge: 0.1\n", "params.yaml:{}: mix.runs.blend.auxiliary.knowledge: should be a number of rows, all, {tokens: …} or {share: …}, got 0.1; for a share of all rows write {share: 0.1}"),
    ("      dgms:\n        rich: 1.0\n        plain: 1.0\n", "      dgms: [rich, plain]\n", "params.yaml:{}: mix.runs.blend.dgms: should be keys with values, got a list; write {rich: …, plain: …}"),
    (ONLY, f"{ONLY}      seeds: [1, 2, 1]\n", "params.yaml:{+2}: mix.runs.only.seeds: 1 stands there twice: leave one out"),
    (ONLY, f"{ONLY}      seeds: [1, 2]\n      rows: 0\n", "params.yaml:{+3}: mix.runs.only.rows: should be more than 0, got 0"),
    (ONLY, f"{ONLY}      reference: plane\n", "params.yaml:{+2}: mix.runs.only.reference: 'plane' is not in dgms; did you mean plain?"),
    ("      dgms:\n        plain: 1.0\n      auxiliary: {}", "      auxiliary: {}", "params.yaml:{-2}: mix.runs.only: takes no rows: give it dgms or auxiliary"),
    # between sections
    ("  min_turns: 1", "  min_turns: 6", "params.yaml:{}: mix.min_turns: 6 is more than prompts.max_turns, which is 5: no row is left"),
    ("  - refusal\n", "  - refusals\n", "params.yaml:{}: validate.report_only: 'refusals' is not a reason of a check; did you mean refusal?"),
    ("  max_share: {}", "  max_share: {refusl: 0.1}", "params.yaml:{}: gate.max_share.refusl: 'refusl' is not a reason of a check; did you mean refusal?"),
    ("  - stop\n", "  - stopp\n", "params.yaml:{}: validate.finish_reasons: 'stopp': did you mean stop?"),
    ("  model: base\n", "  model: bas\n", "params.yaml:{}: judge.model: 'bas' is not in bases or dgms; did you mean base?"),
    ("  model: base\n", "  model: gpt-5\n", "params.yaml:{}: judge.model: 'gpt-5' is not in bases or dgms: add it to bases, or say none"),
    ("  pairs: all", "  pairs: [[blend, rich]]", "params.yaml:{}: pairwise.pairs: 'rich' is not in compare: add it there, or leave the pair out"),
    ("  pairs: all", "  pairs: [[blend, blend]]", "params.yaml:{}: pairwise.pairs: blend and blend: a pair is two different models of compare"),
    ("  pairs: all", "  pairs: [[blend, only], [only, blend]]", "params.yaml:{}: pairwise.pairs: only and blend stand there twice: leave one out, each pair is judged in both orders anyway"),
    ("  stop: none", "  stop: nonne", "params.yaml:{}: pairwise.stop: should be none, or keys such as {alpha: 0.05, margin: 0.05}"),
    ("  stop: none", "  stop: {alpha: 5, margin: 0.05}", "params.yaml:{}: pairwise.stop.alpha: should be 0.5 or less, got 5"),
    ("  stop: none", "  stop: {alpha: 0.05}", "params.yaml:{}: pairwise.stop.margin: this key is missing: add it"),
    ("  stop: none", "  stop: {alpha: 0.05, margin: 0.6}", "params.yaml:{}: pairwise.stop.margin: should be less than 0.5, got 0.6"),
    ("  stop: none", "  stop: {alpha: 0.05, margin: 0.05, tpo: 1}", "params.yaml:{}: pairwise.stop.tpo: no such key; did you mean top?"),
    ("  stop: none", "  stop: {alpha: 0.05, margin: 0.05, round: 0}", "params.yaml:{}: pairwise.stop.round: should be more than 0, got 0"),
    ("  stop: none", "  stop: {alpha: 0.05, margin: 0.05, top: 3}", "params.yaml:{}: pairwise.stop.top: 3 is not fewer than the 3 models of compare, so all of them are the best"),
    ("  stop: none\n  pairs: all", "  stop: {alpha: 0.05, margin: 0.05, top: 1}\n  pairs: [[blend, only]]", "params.yaml:{}: pairwise.stop.top: the best are among all pairs: write 0, or pairwise.pairs: all"),
    ("compare:\n- base\n- blend\n", "compare:\n- Base\n- blnd\n", "2 mistakes:\nparams.yaml:{+1}: compare: 'Base' is not an id: use lower-case letters, digits, - and _; write base\nparams.yaml:{+2}: compare: 'blnd' is not in dgms, bases or mix.runs; did you mean blend?"),
    ("dgms:\n- rich\n- plain\n", "dgms:\n- rich\n- rich\n- plain\n- plane\n", "2 mistakes:\nparams.yaml:{+2}: dgms: rich stands there twice: leave one out\nparams.yaml:{+4}: dgms: there is no dgms/plane.yaml; did you mean plain?"),
    ("  averages: {}", "  averages: {mine: [demo_knowlege]}", "params.yaml:{}: evaluate.averages.mine: no task 'demo_knowlege'; did you mean demo_knowledge?"),
    ("  averages: {}", "  averages: {mine: [demo_knowledge, demo_knowledge]}", "params.yaml:{}: evaluate.averages.mine: demo_knowledge stands there twice: leave one out"),
    ("  averages: {}", "  averages: {demo_knowledge: [demo_knowledge]}", "params.yaml:{}: evaluate.averages.demo_knowledge: is the name of a task and cannot be the name of an average: rename it"),
    ("  local_data: {}", "  local_data: {demo_knowlege: all}", "params.yaml:{}: evaluate.local_data.demo_knowlege: is not in evaluate.tasks; did you mean demo_knowledge?"),
    ("  evalchemy: {}", "  evalchemy: {MTbench: Average}", "params.yaml:{}: evaluate.evalchemy.MTbench: Evalchemy has no such task; did you mean MTBench?"),
    ("  evalchemy: {}", "  evalchemy: {MTBench: Averge}", "params.yaml:{}: evaluate.evalchemy.MTBench: no metric 'Averge'; did you mean Average?"),
    # files
    ("  source: demo/prompts.parquet", "  source: ''", "params.yaml:{}: prompts.source: is empty: name a file, a folder or a set of hub"),
    ("  source: demo/prompts.parquet", "  source: demo/prompt.parquet", "params.yaml:{}: prompts.source: demo/prompt.parquet is not there; did you mean demo/prompts.parquet?"),
    ("  source: demo/prompts.parquet", "  source: data/hub/wildchat", "params.yaml:{}: prompts.source: 'wildchat' is not in hub, which is empty: add it there"),
    ("  source: demo/prompts.parquet", "  source: ../prompts.parquet", "params.yaml:{}: prompts.source: '../prompts.parquet' lies outside the repository, where `dvc exp run --temp` and `--queue` cannot see it: give an absolute path, or copy it here and `dvc add` it"),
    ("  source: demo/prompts.parquet", "  source: demo/questions.txt", "params.yaml:{}: prompts.source: demo/questions.txt is not there; did you mean demo/questions.jsonl?"),
    ("    format: multiple_choice", "    format: messages", "params.yaml:{-1}: auxiliary.knowledge.source: demo/knowledge.parquet has no column 'messages', which the format 'messages' needs; it has: question, choices, answer. Under another name: `columns: {messages: <its name>}`"),
    ("    format: multiple_choice", "    format: multiple-choice", "params.yaml:{}: auxiliary.knowledge.format: no format 'multiple-choice'; did you mean multiple_choice?"),
    ("  languages: []\n  exclude_toxic: false\n  seed: 7", "  languages: [english]\n  exclude_toxic: false\n  seed: 7", "params.yaml:{}: prompts.languages: no prompt is in 'english'; did you mean English?"),
    ("  languages: []\n  exclude_toxic: false\n  seed: 7", "  languages: [English, en]\n  exclude_toxic: false\n  seed: 7", "params.yaml:{}: prompts.languages: no prompt is in 'en'; the source has: English"),
    ("  questions: demo/questions.jsonl", "  questions: demos/questions.jsonl", "params.yaml:{}: answers.questions: demos/questions.jsonl is not there; did you mean demo/questions.jsonl?"),
    ("  prompts: demo/judge", "  prompts: demo/judges", "params.yaml:{}: judge.prompts: demo/judges is not there; did you mean demo/judge?"),
    ("  tasks_folder: demo/tasks", "  tasks_folder: demo/task", "params.yaml:{}: evaluate.tasks_folder: demo/task is not there; did you mean demo/tasks?"),
    ("    demo_knowledge: exact", "    demo_knowlege: exact", "params.yaml:{}: evaluate.tasks.demo_knowlege: no such task in demo/tasks or lm-eval; did you mean demo_knowledge?"),
    ("    demo_knowledge: exact_match", "    demo_knowledge: exact_mach", "params.yaml:{}: evaluate.tasks.demo_knowledge: demo_knowledge.yaml has no metric 'exact_mach'; did you mean exact_match?"),
    ("    demo_knowledge: exact_match", "    leaderboard_musr: acc", "params.yaml:{}: evaluate.tasks.leaderboard_musr: _musr.yaml has no metric 'acc'; there is: acc_norm"),
    ("  local_data: {}", "  local_data: {demo_knowledge: all}", "params.yaml:{}: evaluate.local_data.demo_knowledge: demo/tasks/demo_knowledge is not there; did you mean demo/tasks/demo_knowledge.yaml?"),
]  # fmt: skip
FILE_MISTAKES = [
    (RICH, "temperature", "temprature", "dgms/rich.yaml:{}: sampling.temprature: no such key; did you mean temperature?"),
    (RICH, "context_window: 2000", "context_window: 8k", "dgms/rich.yaml:{}: context_window: should be a whole number, got the text '8k'; write 8000"),
    (RICH, 'path: "demo/models/rich"', 'path: "demo/models/ritch"', "dgms/rich.yaml:{}: path: demo/models/ritch is not there; did you mean demo/models/rich?"),
    (RICH, 'path: "demo/models/rich"', "server: {address: 'https://key@api.openai.com/v1', model: gpt}", "dgms/rich.yaml:{}: server: a user, password or key has no place in an address: leave it out"),
    (RICH, 'name: "rich"', 'name: "rich"\nchat_template: dgms/templates/chatml.jinja', "dgms/rich.yaml:{+1}: chat_template: dgms/templates/chatml.jinja is not there: there is no folder dgms/templates"),
    (RICH, 'name: "rich"', 'name: "rich"\nlicence: MIT', "dgms/rich.yaml:{+1}: licence: no such key; did you mean license?"),
    (RICH, 'name: "rich"', 'name: "rich"\nlicense: lama3.1', "dgms/rich.yaml:{+1}: license: no licence is known as 'lama3.1'; did you mean llama3.1; of any other give the name and the https:// address"),
    (RICH, 'name: "rich"', 'name: "rich"\nredistribute: no way', "dgms/rich.yaml:{+1}: redistribute: should be true or false, got the text 'no way'"),
    ("dgms/plain.yaml", 'name: "plain"', "name: 'plain", "dgms/plain.yaml:{}: a quote is not closed"),
    (SINGLE, "assistant }}", "assistant }", "demo/judge/single.txt:{}: is not valid Jinja: unexpected '}'"),
    (SINGLE, "turns[-1].assistant", "turn[-1].assistant", "demo/judge/single.txt:{}: there is no turn to show; did you mean turns?"),
    (SINGLE, "{{ turns[-1].assistant }}", "", "demo/judge/single.txt: does not show the last reply: the judge would not see it"),
    (QUESTIONS, '"question_id": 1', '"question_id": 0', "params.yaml:{questions: }: answers.questions: demo/questions.jsonl:2: there is a question 0 already"),
    (QUESTIONS, '"turns"', '"turn"', "params.yaml:{questions: }: answers.questions: demo/questions.jsonl:1: needs question_id, category and turns (turns: missing)"),
    (TASK, "{{question}}", "{{qestion}}", "demo/tasks/demo_knowledge.yaml:{}: doc_to_text: the rows have no 'qestion'; did you mean question?"),
    (TASK, "test: demo/tasks/demo_knowledge.jsonl", "test: demo/tasks/demo_knowlege.jsonl", "demo/tasks/demo_knowledge.yaml:{}: dataset_kwargs.data_files.test: demo/tasks/demo_knowlege.jsonl is not there; did you mean demo/tasks/demo_knowledge.jsonl?"),
    (TASK, "test_split: test", "test_split: tst", "demo/tasks/demo_knowledge.yaml:{-1}: dataset_kwargs.data_files: has no file for the split 'tst' that is evaluated; did you mean test?"),
    (TASK, "output_type: generate_until", "output_type: [generate_until]", "demo/tasks/demo_knowledge.yaml:{}: output_type: ['generate_until'] is not one that lm-eval has; did you mean generate_until?"),
    (TASK, "test_split: test", "test_split: [test]", "demo/tasks/demo_knowledge.yaml:{-1}: dataset_kwargs.data_files: has no file for the split \"['test']\" that is evaluated; did you mean test?"),
    (TASK, "output_type: generate_until", "output_type: generate", "demo/tasks/demo_knowledge.yaml:{}: output_type: 'generate' is not one that lm-eval has; did you mean generate_until?"),
]  # fmt: skip

RIGHT = [  # the file, what is replaced in it and by what
    (PARAMS, "  max_tokens: 256\n  seed: 11", "  max_tokens: 4096\n  seed: 11"),  # a reply ends where the window does
    (TASK, "{{question}}", "{{question | regex_replace('a', 'b')}}"),  # lm-eval's own filter
    (TASK, "{{question}}", "{{question}}{% if hint is defined %}{{hint}}{% endif %}"),
    (TASK, "{{question}}", "{{question}}{% if hint is not defined %}none{% else %}{{hint}}{% endif %}"),
    (TASK, "{{question}}", "{{question}}{{hint | default('')}}{{hint | d('')}}"),
    (TASK, "{{question}}", "{% if question == 'law' %}{{article}}{% endif %}{{article if question == 'law' else question}}"),
    (TASK, "{{question}}", "{% if question %}{% set text = question %}{% endif %}{{text}}"),
]  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small project without its code, in which nothing is wrong."""
    root = tmp_path_factory.mktemp("mistakes")
    write_demo(root, 6)
    for name in ("rich", "plain", "base"):
        write_model(root, name)
    with (root / PARAMS).open("w") as file:
        YAML().dump(small_params(), file)
    return root


@pytest.fixture(autouse=True)
def here(checkout: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(checkout)
    yield
    os.chdir(before)


def check() -> str:
    """What `check` says of the project; empty if nothing is wrong."""
    try:
        check_all(read_params(), PARAMS, read_catalogue())
    except UserError as error:
        return str(error)
    return ""


@contextmanager
def edited(*edits: tuple[str, str, str]) -> Iterator[None]:
    """A project with some files edited: what is replaced in each for the first time, and by what."""
    before = {Path(file): Path(file).read_text() for file, _, _ in edits}
    try:
        for file, old, new in edits:
            assert old in Path(file).read_text()
            Path(file).write_text(Path(file).read_text().replace(old, new, 1))
        yield
    finally:
        for path, text in before.items():
            path.write_text(text)


def line_of(text: str, part: str, more: int = 0) -> str:
    return str(text[: text.index(part)].count("\n") + 1 + more)


def fill(line: str, text: str, at: int) -> str:
    """A line with the numbers that its braces stand for: of the edit, or of what begins a line of params.yaml."""
    number = text[:at].count("\n") + 1
    for more in (-2, -1, 1, 2, 3, 4):
        line = line.replace(f"{{{more:+}}}", str(number + more))
    for part in ("mix:", "train:", "seed: 13", "questions: "):
        if f"{{{part}}}" in line:
            line = line.replace(f"{{{part}}}", line_of(Path(PARAMS).read_text(), part))
    return re.sub(r"(?<!{){}", str(number), line).replace("{{}}", "{}")


def test_nothing_is_wrong_with_a_project_that_is_right() -> None:
    assert check() == ""


@pytest.mark.parametrize(("file", "old", "new"), RIGHT)
def test_what_can_run_is_not_refused(file: str, old: str, new: str) -> None:
    with edited((file, old, new)):
        assert check() == ""


def test_the_columns_of_all_rows_are_known_to_a_template() -> None:
    row, late = '{"question": "Q?", "answer": "A."}\n', '{"question": "Q?", "answer": "A.", "hint": "H."}\n'
    with edited((TASK, "{{question}}", "{{question}}{{hint}}"), (ROWS, row, row * 60 + late)):
        assert check() == ""
    with edited((TASK, "{{question}}", "{{question}}{{hint}}"), (ROWS, row, row + '{"question": "Q?", "hint": \n')):
        assert check() == ""  # what a row holds that cannot be read is not known
    with edited((TASK, "{{question}}", "{{question}}{{hint}}"), (ROWS, row, row * 60)):
        assert check().endswith("doc_to_text: the rows have no 'hint'; there are: answer, question")


@pytest.mark.parametrize("reason", ["stopped", "aborted", "stop_str", "tool_use"])
def test_an_import_has_finish_reasons_of_its_own(reason: str) -> None:
    listed = (PARAMS, "  - stop\n", f"  - {reason}\n")
    imported = ("dgms/plain.yaml", 'path: "demo/models/plain"', "import: demo/prompts.parquet")
    with edited(listed):
        assert ": validate.finish_reasons: " in check()
    with edited(listed, imported):
        assert check() == ""


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [(PARAMS, *row) for row in PARAMS_MISTAKES] + FILE_MISTAKES,
    ids=lambda text: text[-40:],
)
def test_a_mistake_is_named_with_its_line_and_what_to_do(file: str, old: str, new: str, line: str) -> None:
    text = Path(file).read_text()
    with edited((file, old, new)):
        assert check() == fill(line, text, text.index(old))


def places(value: Any, key: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The key of every value in a params file, down to the items of lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, child in items:
        yield (*key, name)
        yield from places(child, (*key, name))


@pytest.mark.parametrize("shape", [None, 5, [[None]], {"a": None}], ids=repr)
def test_a_value_of_any_shape_at_any_place_is_a_mistake_or_right_and_no_traceback(shape: object) -> None:
    params, catalogue = read_params(), read_catalogue()
    for *above, last in places(params):
        edited_params: Any = deepcopy(params)
        owner = edited_params
        for part in above:
            owner = owner[part]
        owner[last] = shape
        _, faults = examine(edited_params, PARAMS, catalogue)
        assert all(fault.problem and "\n" not in fault.problem for fault in faults)


def test_a_clone_may_lack_what_stages_have_read_before_and_nothing_else(checkout: Path) -> None:
    """As DVC does with `--pull --allow-missing`: only its outs are needed."""
    entry = md5_of(checkout / RICH)
    deps = [{"path": "demo/prompts.parquet", "md5": "0"}, {"path": RICH, "md5": entry}]
    (checkout / "dvc.lock").write_text(json.dumps({"stages": {"prompts": {"deps": deps}}}))
    moved = [checkout / name for name in ("demo/prompts.parquet", "demo/models/rich", "demo/models/plain")]
    params = read_params()
    for path in moved:
        path.rename(f"{path}.moved")
    try:
        assert check().startswith("3 mistakes:\n")
        with pytest.raises(UserError) as error:
            check_all(params | {"profile": 3}, PARAMS, read_catalogue(), may_lack_recorded=True)
        assert str(error.value).splitlines() == [
            "2 mistakes:",
            "params.yaml:1: profile: should be text, got 3; put it in quotes: '3'",
            "dgms/plain.yaml:2: path: demo/models/plain is not there; did you mean demo/models/plain.moved?",
        ]
    finally:
        for path in moved:
            Path(f"{path}.moved").rename(path)
        (checkout / "dvc.lock").unlink()
