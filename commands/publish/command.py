"""Publish replies of DGMs as a dataset, or a fine-tune as a model. Not a stage.

python -m commands.publish --repo owner/name [--dgm "a b"]      without --dgm: all of params.yaml
python -m commands.publish --repo owner/name --run rewild

Writes a folder that the model hub and `datasets` understand, with a card, licences, counts and provenance, and uploads
it if asked, private first. Rows are those of data/responses and data/verdicts, with the digests in metrics/.
"""

from commands.publish.dataset import folder_bytes, missing_licenses, write_dataset
from commands.publish.fine_tune import write_fine_tune
from commands.publish.folder import check_out
from commands.publish.options import Options, read_options
from commands.publish.provenance import has_changes
from commands.publish.upload import TOKEN, Target, read_token, upload
from stages.lib.console.errors import UserError
from stages.lib.console.formats import format_bytes
from stages.lib.core.sections import PARAMS, read_yaml
from stages.lib.core.types import Json


def main(arguments: list[str] | None = None) -> None:
    """Publish what the command line names."""
    options = read_options(arguments, "python -m commands.publish", __doc__)
    if options.upload and has_changes():
        raise UserError("commit your changes first (`git status` shows them): the upload's tag names the commit")
    check_out(options.out)
    params = read_yaml(PARAMS)
    provenance = (write_fine_tune if options.run else write_dataset)(params, options)
    for line in describe(options, provenance, params):
        print(line)
    if options.upload:
        send(options, provenance["commit"])


def send(options: Options, commit: str) -> None:
    """Upload the folder; raise UserError without a token."""
    token = read_token()
    if not token:
        raise UserError(f"nothing was uploaded: {TOKEN} is not set; {options.out} is complete. {how_to_upload()}")
    target = Target(options.repository, options.kind, commit, options.gated)
    upload(options.out, target, token)
    print(f"uploaded to {target.page}, tag {commit}")
    print("A new repository is private: look at its page, then make it public in its settings.")


def describe(options: Options, provenance: Json, params: Json) -> list[str]:
    """Return the lines on what was written and what is left to do."""
    num_files = sum(file.is_file() for file in options.out.rglob("*"))
    lines = [f"{options.out}: {num_files} files, {format_bytes(folder_bytes(options.out))}"]
    missing = find_missing_licenses(provenance, params)
    if missing:
        lines.append(f"warning: no licence is stated, and the card says so: {', '.join(missing)}")
    if provenance["has_uncommitted_changes"]:
        lines.append("warning: git has changes that are not committed, and the card says so; commit and run it again")
    if options.upload:
        return lines
    return [
        *lines,
        "Nothing was uploaded. What is left to do:",
        f"  1. read {options.out / 'README.md'}; words of your own go into a file that you give as NOTES",
        f"  2. {how_to_upload()}",
        f"     it makes {options.repository}, private, uploads the folder and tags it {provenance['commit'][:12]}",
        "  3. look at its page, then make it public in its settings",
    ]


def how_to_upload() -> str:
    """Say how to upload."""
    return f"export {TOKEN}=<a token that may write>, then run the same command with UPLOAD=yes"


def find_missing_licenses(provenance: Json, params: Json) -> list[str]:
    """List the keys that should name a licence and do not."""
    if "dgms" in provenance:
        return missing_licenses(params, provenance["dgms"])
    base = provenance["base"]
    keys = [] if base["license"] else [f"license in dgms/{base['id']}.yaml"]
    names = [name for name, license_ in provenance["licenses"].items() if not license_]
    return keys + [f"license of {name}" for name in names]
