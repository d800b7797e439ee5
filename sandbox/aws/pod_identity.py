"""EKS Pod Identity, which moto does not have: roles that pods of a service account get.

Nothing hands the credentials to pods here, and the cluster that an association names need not exist.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

from moto.core.responses import ActionResult, EmptyResult
from moto.eks import urls
from moto.eks.exceptions import InvalidParameterException, ResourceInUseException, ResourceNotFoundException
from moto.eks.models import EKSBackend, eks_backends
from moto.eks.responses import EKSResponse
from moto.iam.exceptions import NotFoundException
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random

_PATH: Final = "{0}/clusters/(?P<name>[^/]+)/pod-identity-associations"
_CHANGEABLE: Final = ("roleArn", "targetRoleArn", "disableSessionTags")


@dataclass
class Association:
    """Under the API's own names (PodIdentityAssociation)."""

    clusterName: str  # noqa: N815
    namespace: str
    serviceAccount: str  # noqa: N815
    roleArn: str  # noqa: N815
    associationArn: str  # noqa: N815
    associationId: str  # noqa: N815
    tags: dict[str, str]
    disableSessionTags: bool = False  # noqa: N815
    targetRoleArn: str | None = None  # noqa: N815
    externalId: str | None = None  # noqa: N815

    @property
    def whose(self) -> tuple[str, str, str]:
        return self.clusterName, self.namespace, self.serviceAccount


class Eks(EKSBackend):
    """Keeps the associations by their ID."""

    __module__ = EKSBackend.__module__

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.associations: dict[str, Association] = {}

    def associate(self, given: dict[str, Any]) -> Association:
        self.refuse_unknown_role(given["roleArn"])
        name = f"a-{mock_random.get_random_hex(17)}"
        arn = f"arn:aws:eks:{self.region_name}:{self.account_id}:podidentityassociation/{given['clusterName']}/{name}"
        made = Association(associationId=name, associationArn=arn, **given)
        if any(other.whose == made.whose for other in self.associations.values()):
            raise ResourceInUseException(
                clusterName=made.clusterName,
                message=f"Association already exists: {made.namespace}/{made.serviceAccount}",
            )
        self.associations[name] = made
        return made

    def association(self, cluster: str, name: str) -> Association:
        found = self.associations.get(name)
        if found is None or found.clusterName != cluster:
            raise ResourceNotFoundException(clusterName=cluster, message=f"No association found for ID: {name}")
        return found

    def by_arn(self, arn: str) -> Association | None:
        return next((one for one in self.associations.values() if one.associationArn == arn), None)

    def refuse_unknown_role(self, arn: str) -> None:
        try:
            iam_backends[self.account_id][self.partition].get_role_by_arn(arn)
        except NotFoundException as error:
            raise InvalidParameterException(message="Role provided in the request does not exist.") from error


class Answers(EKSResponse):
    """The five calls, and tags on what they make."""

    @property
    def _eks(self) -> Eks:
        backend = eks_backends[self.current_account][self.region]
        assert isinstance(backend, Eks)
        return backend

    def _given(self, *names: str) -> dict[str, Any]:
        values = {name: self._get_param(name) for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def _named(self) -> Association:
        return self._eks.association(self._get_param("name"), self._get_param("associationId"))

    def create_pod_identity_association(self) -> ActionResult:
        given = self._given("namespace", "serviceAccount", *_CHANGEABLE)
        rest = {"clusterName": self._get_param("name"), "tags": dict(self._get_param("tags") or {})}
        made = self._eks.associate({**given, **rest})
        return ActionResult({"association": asdict(made)})

    def describe_pod_identity_association(self) -> ActionResult:
        return ActionResult({"association": asdict(self._named())})

    def update_pod_identity_association(self) -> ActionResult:
        found, given = self._named(), self._given(*_CHANGEABLE)
        if "roleArn" in given:
            self._eks.refuse_unknown_role(given["roleArn"])
        for name, value in given.items():
            setattr(found, name, value)
        return ActionResult({"association": asdict(found)})

    def delete_pod_identity_association(self) -> ActionResult:
        found = self._named()
        del self._eks.associations[found.associationId]
        return ActionResult({"association": asdict(found)})

    def list_pod_identity_associations(self) -> ActionResult:
        given = {"clusterName": self._get_param("name"), **self._given("namespace", "serviceAccount")}
        everything = [asdict(one) for one in self._eks.associations.values()]
        return ActionResult({"associations": [one for one in everything if _within(given, one)]})

    def tag_resource(self) -> ActionResult:
        if found := self._eks.by_arn(self._extract_arn_from_path()):
            found.tags.update(self._get_param("tags"))
            return EmptyResult()
        return super().tag_resource()

    def untag_resource(self) -> ActionResult:
        if found := self._eks.by_arn(self._extract_arn_from_path()):
            keys = self._get_param("tagKeys")
            for key in keys if isinstance(keys, list) else [keys]:
                found.tags.pop(key, None)
            return EmptyResult()
        return super().untag_resource()

    def list_tags_for_resource(self) -> ActionResult:
        if found := self._eks.by_arn(self._extract_arn_from_path()):
            return ActionResult({"tags": found.tags})
        return super().list_tags_for_resource()


def _within(given: dict[str, Any], one: dict[str, Any]) -> bool:
    return all(one[name] == value for name, value in given.items())


def fill() -> None:
    """Put the subclasses in moto's place and add the paths of the calls."""
    eks_backends.backend = Eks
    dispatch = Answers().dispatch
    for path in (f"{_PATH}$", f"{_PATH}/(?P<associationId>[^/]+)$", "{0}/tags/(?P<resourceArn>.+)$"):
        urls.url_paths[path] = dispatch
