"""ECR whose images lie in the local cloud's own registry: what a program pushes to a repository's URL can be pulled."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from moto.core.responses import ActionResult
from moto.ecr.models import ECRBackend, Image, Repository, ecr_backends
from moto.ecr.responses import ECRResponse

from sandbox import paths
from sandbox.aws import scans

_TOKEN_LIFE: Final = timedelta(hours=12)


class Ecr(ECRBackend):
    """Names the registry as the node and its Docker daemon do."""

    __module__ = ECRBackend.__module__

    def create_repository(self, *args: Any, **kwargs: Any) -> Repository:  # noqa: ANN401 - moto's own
        made = super().create_repository(*args, **kwargs)
        made.uri = f"{paths.REGISTRY}/{made.name}"
        return made

    def batch_get_image(
        self, repository_name: str, registry_id: str | None = None, image_ids: list[dict[str, Any]] | None = None
    ) -> dict[str, Any]:
        """Return images that were pushed to the local registry, by digest or by tags set through this API."""
        repository = self._get_repository(repository_name, registry_id)
        known = {image.get_image_digest() for image in repository.images}
        for digest in {wanted["imageDigest"] for wanted in image_ids or [] if "imageDigest" in wanted} - known:
            if found := scans.manifest(repository.name, digest):
                image = Image(self.account_id, "", found.text, repository.name, found.headers["Content-Type"], digest)
                image.image_tags.clear()
                repository.images.append(image)
        return super().batch_get_image(repository_name, registry_id, image_ids)

    def describe_image_scan_findings(
        self, registry_id: str, repository_name: str, image_id: dict[str, Any]
    ) -> dict[str, Any]:
        return scans.describe(self._get_repository(repository_name, registry_id), image_id)


def _authorization_token(self: ECRResponse) -> ActionResult:
    """Return a token for the local registry, which asks for none."""
    token = base64.b64encode(b"AWS:sandbox").decode()
    data = {
        "authorizationToken": token,
        "expiresAt": datetime.now(UTC) + _TOKEN_LIFE,
        "proxyEndpoint": f"http://{paths.REGISTRY}",
    }
    return ActionResult({"authorizationData": [data for _ in self._get_param("registryIds") or [""]]})


def fill() -> None:
    """Put the subclass in moto's place."""
    ecr_backends.backend = Ecr
    ECRResponse.get_authorization_token = _authorization_token  # type: ignore[method-assign]
