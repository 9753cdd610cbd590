"""Time a `dvc repro` that has nothing to do, with 3 and with 54 DGMs (echo engine; the first run takes minutes).

python -m perf.noop
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.support.project import Project, make_project


def build(folder: Path, num_dgms: int) -> Project:
    """Return a project with `num_dgms` DGMs that has been run once."""
    dgms = [f"dgm-{number:02d}" for number in range(num_dgms)]
    project = make_project(folder, models=[*dgms, "base"])
    params = project.params()
    params["dgms"] = dgms
    params["mix"]["runs"] = {"only": {"base": "base", "dgms": {dgms[0]: 1.0}, "auxiliary": {}}}
    params["compare"] = ["base", "only"]
    project.write_params(params)
    project.commit()
    project.repro()
    return project


def time_noop(project: Project) -> float:
    """The median wall time of five no-op runs, in seconds."""
    times = []
    for _ in range(5):
        began = time.monotonic()
        assert project.repro() == []
        times.append(time.monotonic() - began)
    return median(times)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        small, large = (time_noop(build(Path(folder) / str(number), number)) for number in (3, 54))
    sys.stdout.write(f"3 DGMs: {small:.2f} s; 54 DGMs: {large:.2f} s; ratio {large / small:.2f}\n")
