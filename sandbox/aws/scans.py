"""The scans of images that lie in the local registry: a stand-in that looks at nothing and finds what it is told."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any, Final

import requests
from moto.ecr.exceptions import ImageNotFoundException
from moto.ecr.models import Repository

from sandbox import paths

_MANIFESTS: Final = "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json"

planted: dict[str, list[dict[str, Any]]] = {}
"""Findings by digest, in the words of ECR's basic scanner."""


def plant(body: bytes) -> dict[str, Any]:
    """Take ``{"digest": …, "findings": […]}`` for true from now on. Raises ``ValueError`` if it is not that."""
    try:
        given = json.loads(body)
        digest, findings = given["digest"], given["findings"]
        counts = Counter(finding["severity"] for finding in findings)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f'wanted is {{"digest": "sha256:…", "findings": [{{"name", "severity", …}}]}}: {error!r}'
        ) from error
    planted[digest] = findings
    return {"digest": digest, "counts": counts}


def manifest(repository: str, digest: str) -> requests.Response | None:
    """Return what the local registry has under a digest; None if nothing."""
    found = requests.get(
        f"http://{paths.NODE_IP}:5000/v2/{repository}/manifests/{digest}", headers={"Accept": _MANIFESTS}, timeout=5
    )
    return found if found.ok else None


def describe(repository: Repository, image: dict[str, Any]) -> dict[str, Any]:
    """Return the findings in an image of the local registry: those planted, else none."""
    digest = image.get("imageDigest", "")
    if not digest or manifest(repository.name, digest) is None:
        raise ImageNotFoundException(json.dumps(image), repository.name, repository.registry_id)
    findings = planted.get(digest, [])
    now = datetime.now(UTC)
    return {
        "registryId": repository.registry_id,
        "repositoryName": repository.name,
        "imageId": {"imageDigest": digest},
        "imageScanStatus": {"status": "COMPLETE", "description": "The scan was completed successfully."},
        "imageScanFindings": {
            "imageScanCompletedAt": now,
            "vulnerabilitySourceUpdatedAt": now,
            "findings": findings,
            "findingSeverityCounts": dict(Counter(finding["severity"] for finding in findings)),
        },
    }
