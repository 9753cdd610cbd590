"""What is pushed to a folder, over ssh or to S3 is what a colleague gets, and nothing more than is needed."""

import os
import re
from functools import partial
from pathlib import Path

import pytest

from commands.doctor.objects.locked import Object, locked_outs, objects_of, read_cached
from tests.sharing.conftest import Lab
from tests.support.project import Project, allow_doctor, ran

pytestmark = pytest.mark.pipeline
CACHE = Path(".dvc/cache/files/md5")


def objects(project: Project, *outs: str) -> set[str]:
    """The objects of the outs whose paths begin so."""
    return {each.md5 for each in named(project) if each.out.path.startswith(outs or "")}


def downloaded(clone: Project, lab: Lab) -> set[str]:
    """The objects of the remote that a clone has."""
    here = {f"{path.parent.name}{path.name}" for path in (clone.root / CACHE).glob("??/*")}
    return here & objects(lab.author)


def only(kind: str) -> pytest.MarkDecorator:
    """Run a test with a remote of one kind: what it is about does not depend on the kind."""
    return pytest.mark.parametrize("lab", [kind], indirect=True, scope="module")


def num_bytes(lab: Lab, names: set[str]) -> int:
    return sum(lab.remote.object(name).stat().st_size for name in names)


def test_a_changed_stage_downloads_what_it_needs_and_nothing_else(lab: Lab) -> None:
    clone = lab.clone("changed")
    clone.run("dvc", "pull", "-q", "check")
    checked = downloaded(clone, lab)
    assert checked == {each.md5 for each in named(lab.author) if each.out.stage == "check"}
    assert clone.repro("--pull", "--allow-missing") == [] and downloaded(clone, lab) == checked
    clone.edit("params.yaml", "size: 4", "size: 5")
    assert clone.repro("--pull", "--allow-missing", "mix@only") == ["check", "recipes", "mix@only"]
    read = ("data/responses/plain", "data/verdicts/plain", "models/base", "data/benchmarks")
    made = {each.md5 for each in named(clone) if each.out.stage == "mix@only"}  # some as the author's
    needed, everything = objects(lab.author, *read) - checked, objects(lab.author)
    got = downloaded(clone, lab) - checked - (made - needed)
    assert num_bytes(lab, got) == num_bytes(lab, needed)
    assert num_bytes(lab, got) < 0.05 * num_bytes(lab, everything)


def test_one_dgm_is_pulled_alone_and_its_conversations_need_not_be_asked_again(lab: Lab) -> None:
    clone = lab.clone("one")
    clone.run("dvc", "pull", "-q", "generate@rich")
    assert downloaded(clone, lab) == objects(lab.author, "data/responses/rich", "data/ledger/rich")
    rich = clone.root / "data/responses/rich"
    assert [path.read_bytes() for path in sorted(rich.iterdir())] == [
        path.read_bytes() for path in sorted((lab.author.root / "data/responses/rich").iterdir())
    ]
    assert "rich: 12 conversations added, 0 were there" in clone.run("python", "-m", "commands.store", "add")


@only("s3")
def test_the_store_is_seeded_from_the_remote_under_another_id_too_and_nothing_is_written_to_data(lab: Lab) -> None:
    clone = lab.clone("seeded")
    output = clone.run("python", "-m", "commands.store", "add", "--from", ".")
    assert re.findall(r"(\w+): 12 conversations added, 0 were there", output) == ["plain", "rich"]
    assert not (clone.root / "data/responses").exists() and downloaded(clone, lab) == set()
    (clone.root / "dgms/rich.yaml").rename(clone.root / "dgms/newer.yaml")
    clone.edit("params.yaml", "- rich", "- newer")
    clone.edit("params.yaml", "rich: 1.0", "newer: 1.0")
    output = clone.run("dvc", "repro", "--pull", "--allow-missing", "gate@newer")
    assert ran(output) == ["check", "resolve@newer", "generate@newer", "validate@newer", "gate@newer"]
    assert "newer: 12 are taken over from rich" in output and "12 conversations are in the store, 0 to" in output
    assert clone.json("metrics/gate/newer.json") == lab.author.json("metrics/gate/rich.json")


@only("ssh")
def test_an_experiment_is_pushed_and_a_colleague_applies_it(lab: Lab) -> None:
    colleague = lab.clone("colleague")
    run = ("dvc", "exp", "run", "-q", "-n", "tried", "-S", "throughput.price_per_gpu_hour=7", "throughput")
    author = lab.author.copy(lab.folder / "author-2")
    author.run("git", "config", "user.name", "t")
    author.run("git", "config", "user.email", "t@t")
    author.run(*run)
    author.run("dvc", "exp", "push", "origin", "tried")
    colleague.run("dvc", "exp", "pull", "-q", "origin", "tried")
    colleague.run("dvc", "exp", "apply", "-q", "tried")
    assert colleague.params()["throughput"]["price_per_gpu_hour"] == 7
    tried = "data/throughput/summary.json"
    assert colleague.json(tried) == author.json(tried) != lab.author.json(tried)


def doctor(project: Project, *words: str) -> str:
    """What the doctor says of DVC's cache and remote."""
    allow_doctor(project)
    output = project.run("python", "-m", "commands.doctor", *words, code=(0, 1))
    return "\n".join(line for line in output.splitlines() if "DVC's" in line and "Broken:" not in line)


def run_printed(project: Project, screen: str, fault: str) -> None:
    """Run the command that stands at the end of the line with a fault."""
    [line] = [line for line in screen.splitlines() if fault in line]
    for command in line.rpartition("[")[2].rstrip("]").split("; "):
        words = command.split()
        if words[:2] == ["make", "doctor"]:
            options = {"MEND=yes": "--mend", "ALL=yes": "--all"}
            words = ["python", "-m", "commands.doctor", *(options[word] for word in words[2:])]
        project.run(*words, code=(0, 1))


RICH = "data/responses/rich/shard-00000.parquet"


@pytest.mark.parametrize("lab", ["folder", "s3"], indirect=True, scope="module")
def test_what_the_remote_lost_or_tore_is_named_by_file_and_out_and_mended_by_the_printed_command(lab: Lab) -> None:
    shard, ledger = (
        next(each.md5 for each in named(lab.author) if each.file == path)
        for path in (RICH, "data/ledger/rich/shard-00000.parquet")
    )
    author = lab.author
    before = lab.remote.object(shard).read_bytes()
    lab.remote.tear(shard)
    lab.remote.lose(ledger)
    assert "Everything is up to date" in author.run("dvc", "push", "generate@rich")  # DVC sees neither
    clone = lab.clone("unlucky")
    assert "ERROR" in clone.run("dvc", "pull", "generate@rich", code=(1, 255))
    assert not (clone.root / RICH).exists()  # `verify true`: without it DVC pulls it in silence
    screen = doctor(author, "--all")
    torn = f"generate@rich: {RICH} is torn  [make doctor MEND=yes ALL=yes]"
    assert torn in screen
    assert "generate@rich: data/ledger/rich/shard-00000.parquet is missing  [make doctor MEND=yes ALL=yes]" in screen
    run_printed(author, screen, torn)
    assert lab.remote.object(shard).read_bytes() == before and lab.remote.object(ledger).exists()
    assert "broken" not in doctor(author, "--all")
    clone.run("dvc", "pull", "-q", "generate@rich")
    assert (clone.root / RICH).read_bytes() == before


def named(project: Project) -> list[Object]:
    """The objects of all outs whose listings are in the cache, with their files."""
    read = partial(read_cached, project.root / CACHE)
    return [each for out in locked_outs(project.root / "dvc.lock") for each in objects_of(out, read)]


def tear_cached(project: Project, path: str) -> bytes:
    """Change a bit of an object of the cache and of its file, which may be linked to it; what it was."""
    file = project.root / path
    content = file.read_bytes()
    [md5] = {each.md5 for each in named(project) if each.file == path}
    for torn in (project.root / CACHE / md5[:2] / md5[2:], file):
        stat = torn.stat()
        torn.chmod(0o644)
        torn.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        torn.chmod(stat.st_mode)
        os.utime(torn, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # a disk that errs writes no time
    return content


@only("folder")
def test_a_torn_object_of_the_cache_is_whole_again_after_the_printed_command(lab: Lab) -> None:
    clone = lab.clone("torn")
    clone.run("dvc", "pull", "-q", "generate@rich")
    content = tear_cached(clone, RICH)
    assert clone.run("dvc", "pull", "generate@rich").strip() == "Everything is up to date."  # DVC sees nothing
    screen = doctor(clone)
    fault = f"generate@rich: {RICH} is torn  [make doctor MEND=yes; dvc pull --force {RICH}]"
    assert fault in screen
    run_printed(clone, screen, fault)
    assert (clone.root / RICH).read_bytes() == content and "broken" not in doctor(clone)


def test_without_a_remote_the_printed_command_makes_a_torn_object_again(project: Project) -> None:
    content = tear_cached(project, RICH)
    screen = doctor(project)
    fault = f"generate@rich: {RICH} is torn  [make doctor MEND=yes; dvc repro generate@rich]"
    assert fault in screen
    run_printed(project, screen, fault)
    assert (project.root / RICH).read_bytes() == content and "broken" not in doctor(project)
