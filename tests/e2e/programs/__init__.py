"""Programs that the tests on the local cloud run on the node."""

import shutil
from pathlib import Path

from sandbox import images, paths
from tests.e2e import cloud


def built(name: str, folder: Path) -> str:
    """Build and push the image of a program in Go, which has nothing else in it; return it by digest."""
    here = folder / name
    shutil.copytree(Path(__file__).parent / name, here)
    modules = "on" if (here / "go.mod").exists() else "off"
    cloud.run("go", "build", "-trimpath", "-o", name, ".", cwd=here, CGO_ENABLED="0", GO111MODULE=modules)
    repository = f"{paths.REGISTRY}/{name}"
    images._docker("build", "--network=none", f"--tag={repository}:1.0.0", str(here))
    images._docker("push", f"{repository}:1.0.0")
    (digest,) = [each for each in images._inspect(f"{repository}:1.0.0")["RepoDigests"] if each.startswith(repository)]
    return str(digest)
