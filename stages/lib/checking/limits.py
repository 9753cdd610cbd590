"""What is wrong between sections: the judge and pairs, tasks and averages, reasons, numbers of turns."""

from collections.abc import Iterator

from stages.lib.checking.profile import Profile
from stages.lib.console.errors import UserError
from stages.lib.console.faults import Fault, nearest, suggest
from stages.lib.core.names import AVERAGE, NO_JUDGE
from stages.lib.evaluation.evalchemy.tasks import TASKS
from stages.lib.validation.checks import REASONS, require_reasons

FINISH = ("stop", "length", "abort", "content_filter", "tool_calls")  # finish reasons that engines and servers give


def find_judge_faults(profile: Profile) -> Iterator[Fault]:
    """Yield why the judge cannot be asked."""
    judge = profile.params["judge"]["model"]
    if judge == NO_JUDGE:
        return
    if judge not in profile.ids():
        hint = f"; did you mean {near}?" if (near := nearest(judge, [*profile.ids(), NO_JUDGE])) else ""
        problem = f"{judge!r} is not in bases or dgms{hint or f': add it to bases, or say {NO_JUDGE}'}"
        yield profile.fault("judge.model", problem)
    elif judge in profile.models and profile.models[judge].import_:
        yield profile.fault("judge.model", f"{judge!r} is an import, which cannot be asked: name another model")


def find_pair_faults(profile: Profile) -> Iterator[Fault]:
    """Yield pairs that are not two models of `compare`, or stand there twice."""
    pairs, compared = profile.params["pairwise"]["pairs"], profile.params["compare"]
    met = set[frozenset[str]]()
    for number, pair in enumerate(pairs if isinstance(pairs, list) else []):
        unknown = [model for model in pair if model not in compared]
        for model in unknown:
            hint = suggest(model, compared) if nearest(model, compared) else ": add it there, or leave the pair out"
            yield profile.fault("pairwise.pairs", f"{model!r} is not in compare{hint}", number)
        if not unknown and (len(pair) != 2 or len(set(pair)) != 2):
            problem = f"{' and '.join(pair) or 'nothing'}: a pair is two different models of compare"
            yield profile.fault("pairwise.pairs", problem, number)
        elif frozenset(pair) in met:
            problem = (
                f"{' and '.join(pair)} stand there twice: leave one out, each pair is judged in both orders anyway"
            )
            yield profile.fault("pairwise.pairs", problem, number)
        met.add(frozenset(pair))


def find_stop_faults(profile: Profile) -> Iterator[Fault]:
    """Yield a race for the best models that has none to find, or not all pairs of them."""
    pairwise, compared = profile.params["pairwise"], profile.params["compare"]
    stop = pairwise["stop"]
    if not isinstance(stop, dict) or not stop.get("top"):
        return
    if pairwise["pairs"] != "all":
        yield profile.fault("pairwise.stop", "the best are among all pairs: write 0, or pairwise.pairs: all", "top")
    elif stop["top"] >= len(compared):
        problem = f"{stop['top']} is not fewer than the {len(compared)} models of compare, so all of them are the best"
        yield profile.fault("pairwise.stop", problem, "top")


def find_task_name_faults(profile: Profile) -> Iterator[Fault]:
    """Yield tasks of local_data that are not tasks, those that Evalchemy does not have, and names that two have."""
    evaluate = profile.params["evaluate"]
    tasks, evalchemy = evaluate["tasks"], evaluate["evalchemy"]
    for task in evaluate["local_data"]:
        if task not in tasks:
            yield profile.fault("evaluate.local_data", f"is not in evaluate.tasks{suggest(task, tasks)}", task)
    for task, primary in evalchemy.items():
        yield from find_evalchemy_faults(profile, task, primary)
        if task in tasks:
            yield profile.fault("evaluate.evalchemy", "is in evaluate.tasks too: leave one of them out", task)
    if AVERAGE in {*tasks, *evalchemy}:
        yield profile.fault("evaluate.tasks", f"{AVERAGE!r} is the name of an average and cannot be that of a task")


def find_average_faults(profile: Profile) -> Iterator[Fault]:
    """Yield averages that have the name of a task, or average what is not a task."""
    evaluate = profile.params["evaluate"]
    known = [*evaluate["tasks"], *evaluate["evalchemy"]]
    for name, columns in evaluate["averages"].items():
        if name in known:
            problem = "is the name of a task and cannot be the name of an average: rename it"
            yield profile.fault("evaluate.averages", problem, name)
        for number, column in enumerate(columns):
            if column not in known:
                yield profile.fault("evaluate.averages", f"no task {column!r}{suggest(column, known)}", name, number)
            elif column in columns[:number]:
                yield profile.fault("evaluate.averages", f"{column} stands there twice: leave one out", name, number)


def find_evalchemy_faults(profile: Profile, task: str, primary: str) -> Iterator[Fault]:
    """Yield a task, or a main metric of one, that Evalchemy does not have."""
    if task not in TASKS:
        yield profile.fault("evaluate.evalchemy", f"Evalchemy has no such task{suggest(task, TASKS)}", task)
    elif (known := TASKS[task].metrics) and primary not in known:
        yield profile.fault("evaluate.evalchemy", f"no metric {primary!r}{suggest(primary, known)}", task)


def find_reason_faults(profile: Profile) -> Iterator[Fault]:
    """Yield reasons that no check gives."""
    report_only = profile.params.get("validate", {}).get("report_only") or []
    named = [("validate.report_only", reason, number) for number, reason in enumerate(report_only)]
    named += [("gate.max_share", reason, reason) for reason in profile.params.get("gate", {}).get("max_share") or {}]
    for name, reason, place in named:
        if not is_reason(reason):
            yield profile.fault(name, f"{reason!r} is not a reason of a check{suggest(reason, REASONS)}", place)


def is_reason(name: str) -> bool:
    """Tell whether a check of replies gives this reason."""
    try:
        require_reasons([name], "")
    except UserError:
        return False
    return True


def find_finish_faults(profile: Profile) -> Iterator[Fault]:
    """Yield finish reasons that are nearly one that engines give: every conversation would be dropped.

    An import may have finish reasons of its own, so where a DGM is or may be one they are taken for right.
    """
    entries = [profile.models.get(model) for model in profile.names("dgms")]
    known = FINISH if all(entry and not entry.import_ for entry in entries) else ()
    for number, reason in enumerate(profile.params["validate"]["finish_reasons"]):
        near = nearest(reason, known)
        if near and reason not in known:
            yield profile.fault("validate.finish_reasons", f"{reason!r}: did you mean {near}?", number)
    if not profile.params["validate"]["finish_reasons"]:
        yield profile.fault("validate.finish_reasons", "is empty, so every conversation would be dropped; write [stop]")


def find_turn_faults(profile: Profile) -> Iterator[Fault]:
    """Yield a number of turns that no prompt has."""
    most, least = profile.params["prompts"]["max_turns"], profile.params["mix"]["min_turns"]
    if least > most:
        yield profile.fault("mix.min_turns", f"{least} is more than prompts.max_turns, which is {most}: no row is left")
