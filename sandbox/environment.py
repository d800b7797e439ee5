"""The environment variables with which `pulumi`, `kubectl` and `aws` use the local cloud."""

import os
import shlex
import sys
from pathlib import Path

from sandbox import paths
from sandbox.engine import Engine


def variables(engine: Engine) -> dict[str, str]:
    """Return what must be exported; PATH comes with the programs of the local cloud in front."""
    front = [str(paths.STATE / "bin"), engine.directory, str(Path(sys.prefix) / "bin")]
    rest = [part for part in os.environ["PATH"].split(os.pathsep) if part not in front]
    return {
        "PATH": os.pathsep.join(front + rest),
        "KUBECONFIG": str(paths.KUBECONFIG),
        "AWS_ENDPOINT_URL": paths.AWS_ENDPOINT,
        "AWS_REGION": paths.REGION,
        "AWS_DEFAULT_REGION": paths.REGION,
        "AWS_ACCESS_KEY_ID": "sandbox",
        "AWS_SECRET_ACCESS_KEY": "sandbox",
        **({"DOCKER_HOST": f"unix://{paths.DOCKER_SOCKET}"} if paths.OWN_NODE else {}),
        "PULUMI_HOME": str(paths.PULUMI_HOME),
        "PULUMI_BACKEND_URL": f"file://{paths.PULUMI_STATE}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "HUESHIFT_POLICY_PACK": str(engine.policy_pack),
        "CURL_OPTIONS": f"--cacert {shlex.quote(str(paths.CA_CERTIFICATE))}",  # of smoke, verify, compare and release
        # As in the Makefile: a module is compiled once, not by every command and every plugin.
        "PYTHONPYCACHEPREFIX": str(paths.CACHE / "pycache"),
        "PYTHONDONTWRITEBYTECODE": "",
        # The node's addresses must not be asked of a proxy.
        "NO_PROXY": f"{paths.NODE_IP},{paths.HOST_IP},127.0.0.1,localhost",
        "no_proxy": f"{paths.NODE_IP},{paths.HOST_IP},127.0.0.1,localhost",
    }
