"""A Kubernetes API server as the stand-in sees it: raw objects, discovery, and errors in the server's own words."""

import json
import re
import ssl
import tempfile
import threading
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import urllib3
import yaml
from kubernetes.client import ApiClient, Configuration
from kubernetes.config import load_kube_config, load_kube_config_from_dict

from sandbox.providers.plugin import Properties, say

MANAGER: Final = "pulumi-kubernetes"
"""The owner of what we apply, in ``metadata.managedFields``."""

APPLY: Final = "application/apply-patch+yaml"
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


class ApiError(Exception):
    """The API server refused; the text is its own message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def not_found(self) -> bool:
        """The object, its namespace or its kind is not there."""
        return self.status == HTTPStatus.NOT_FOUND

    @property
    def lacks_permission(self) -> bool:
        """The role may not do this; an admission plugin that refuses the object answers 403 as well, in other words."""
        return self.status == HTTPStatus.FORBIDDEN and 'User "' in str(self)


class Unreachable(Exception):  # noqa: N818 - says what happened
    """No API server answers."""


@dataclass(frozen=True)
class Kind:
    """What discovery tells of one kind."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool

    @property
    def group(self) -> str:
        """The API group, empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def qualified(self) -> str:
        """The name that the API server uses in messages: ``deployments.apps``, ``pods``."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, name: str = "") -> str:
        """Give the path of an object, or of the collection."""
        base = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        if self.namespaced:
            base += f"/namespaces/{quote(namespace)}"
        return f"{base}/{self.plural}" + (f"/{quote(name)}" if name else "")


class Cluster:
    """One API server, from many threads."""

    def __init__(self, kubeconfig: str | Properties | None, context: str | None) -> None:
        configuration: Any = Configuration()
        # The engine kills its plugins, so a client certificate must not lie in a temporary file any longer than it
        # takes to load it.
        with tempfile.TemporaryDirectory() as folder:
            where = {"client_configuration": configuration, "context": context, "temp_file_path": folder}
            if isinstance(kubeconfig, str) and "\n" not in kubeconfig and Path(kubeconfig).expanduser().exists():
                load_kube_config(str(Path(kubeconfig).expanduser()), **where)
            elif kubeconfig:
                content = yaml.safe_load(kubeconfig) if isinstance(kubeconfig, str) else kubeconfig
                if not isinstance(content, dict):
                    raise Unreachable("kubeconfig is neither an existing file nor the content of one")
                load_kube_config_from_dict(content, **where)
            else:
                load_kube_config(**where)
            tls = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
            if not configuration.verify_ssl:
                tls.check_hostname = False
                tls.verify_mode = ssl.CERT_NONE
            if configuration.cert_file:
                tls.load_cert_chain(configuration.cert_file, configuration.key_file)
        self._client: Any = ApiClient(configuration)
        self._host: str = configuration.host
        self._pool = urllib3.PoolManager(maxsize=64, ssl_context=tls, retries=urllib3.Retry(3, redirect=0))
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._lock = threading.Lock()

    def request(
        self,
        method: str,
        path: str,
        body: Properties | None = None,
        content_type: str = "application/json",
        **query: str,
    ) -> Any:  # noqa: ANN401
        """Send a request and give the decoded answer, text if it is not JSON; warnings of a write go to the user."""
        headers: dict[str, str] = {"Accept": "application/json, */*", "Content-Type": content_type}
        parameters: list[tuple[str, str]] = list(query.items())
        self._client.update_params_for_auth(headers, parameters, ["BearerToken"], path, method, body)
        url = f"{self._host}{path}" + (f"?{urlencode(parameters)}" if parameters else "")
        try:
            response = self._pool.request(
                method,
                url,
                body=None if body is None else json.dumps(body),
                headers=headers,
                timeout=urllib3.Timeout(connect=5, read=60),
            )
        except urllib3.exceptions.HTTPError as error:
            cause = getattr(error, "reason", None) or error
            raise Unreachable(f"no Kubernetes API server answers at {self._host}: {cause}") from error
        for warning in response.headers.getlist("Warning") if method != "GET" else ():
            quoted = _QUOTED.search(warning)
            say(json.loads(quoted[0]) if quoted else warning, severity="warning", lasting=True)
        text = response.data.decode()
        is_json = response.headers.get("Content-Type", "").startswith("application/json")
        answer = json.loads(text) if is_json else text
        if response.status >= HTTPStatus.BAD_REQUEST:
            status = answer if isinstance(answer, dict) else {}
            raise ApiError(response.status, status.get("reason", ""), status.get("message") or text.strip())
        return answer

    def kind(self, api_version: str, kind: str) -> Kind | None:
        """Look a kind up, or give None if the server does not know it; what is found is remembered."""
        with self._lock:
            if found := self._kinds.get((api_version, kind)):
                return found
            path = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
            try:
                listed = self.request("GET", path)
            except ApiError as error:
                if error.not_found:
                    return None
                raise
            for entry in listed["resources"]:
                if "/" not in entry["name"]:
                    self._kinds[api_version, entry["kind"]] = Kind(
                        api_version, entry["kind"], entry["name"], entry["namespaced"]
                    )
            return self._kinds.get((api_version, kind))

    def find(self, kind: Kind, namespace: str, name: str) -> Properties | None:
        """Get an object, or None if it is not there."""
        try:
            found: Properties = self.request("GET", kind.path(namespace, name))
        except ApiError as error:
            if error.not_found:
                return None
            raise
        return found

    def children(self, api_version: str, kind: str, owner: Properties) -> list[Properties]:
        """List the objects of a kind in the owner's namespace that it owns."""
        found = self.kind(api_version, kind)
        if found is None:
            return []
        meta = owner["metadata"]
        listed = self.request("GET", found.path(meta.get("namespace", "")))
        return [
            item
            for item in listed["items"]
            if any(one["uid"] == meta["uid"] for one in item["metadata"].get("ownerReferences", []))
        ]

    def endpoints(self, service: Properties) -> list[Properties]:
        """List the endpoints in the slices of a Service."""
        meta = service["metadata"]
        path = f"/apis/discovery.k8s.io/v1/namespaces/{meta['namespace']}/endpointslices"
        slices = self.request("GET", path, labelSelector=f"kubernetes.io/service-name={meta['name']}")
        return [endpoint for one in slices["items"] for endpoint in one.get("endpoints") or []]

    def logs(self, pod: Properties, container: str, lines: int, *, previous: bool = False) -> str:
        """Give the last lines that a container wrote, or an empty text if it left none."""
        meta = pod["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/log"
        try:
            text: str = self.request(
                "GET", path, container=container, tailLines=str(lines), previous="true" if previous else "false"
            )
        except ApiError:
            return ""
        return str(text).strip()
