"""Which commit of a hub repository a revision names."""

import re
from typing import Literal

from stages.lib.params import UserError


def commit_of(repository: str, revision: str, kind: Literal["model", "dataset"]) -> str:
    """Ask the hub which commit a revision is; a full commit is taken as it is, offline too.

    Raises UserError when the hub does not say.
    """
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        return str(HfApi().repo_info(repository, revision=revision, repo_type=kind).sha)
    except (OSError, HfHubHTTPError, OfflineModeIsEnabled) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{repository}: the hub did not say which commit {revision!r} is ({reason}); "
            f"a commit as `revision` works offline"
        ) from None
