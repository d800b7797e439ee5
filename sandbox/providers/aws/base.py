"""What all types have in common: the account, names, tags, what a preview can know, what has drifted."""
# ruff: noqa: A002, ARG002 - the contract fixes names and arguments

import os
import re
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from sandbox.providers.aws.schema import MAP, Arg, Schema, align, complete, keep, same
from sandbox.providers.plugin import (
    UNKNOWN,
    CheckFailure,
    PartialFailure,
    Properties,
    Resource,
    autoname,
    is_known,
    pause,
)

T = TypeVar("T")

RANDOM_DIGITS = 7
"""Pulumi's names end in a hyphen and so many hexadecimal digits."""
PATIENCE = 120.0
"""Seconds for which a refusal that passes by itself is tried again; what the official provider calls propagation."""

NAME = Arg(replace=True)
NAME_PREFIX = Arg(replace=True, stored=False)
TAGS = Arg(type=MAP)
REGION = Arg(replace=True, computed=True)

NO_EFFECT = frozenset(
    {
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
        "s3UsePathStyle",
    }
)
"""Configuration for checks that this provider does not do."""


class Cloud:
    """The account and region that the provider is configured for; clients are made once and shared by all threads."""

    arguments = NO_EFFECT | {
        "region",
        "allowedAccountIds",
        "profile",
        "accessKey",
        "secretKey",
        "token",
        "defaultTags",
        "ignoreTags",
        "endpoints",
        "insecure",
        "maxRetries",
    }

    def __init__(self) -> None:
        self.configuration: Properties = {}
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()
        self._session: boto3.Session | None = None

    def configure(self, config: Properties) -> None:
        self.configuration = config
        self._session = None
        self._clients = {}
        if allowed := config.get("allowedAccountIds"):
            account = self.client("sts").get_caller_identity()["Account"]
            if account not in allowed:
                raise ValueError(f"AWS account ID not allowed: {account}; aws:allowedAccountIds are {allowed}")

    def _boto(self) -> boto3.Session:
        if self._session is None:
            self._session = boto3.Session(
                profile_name=self.configuration.get("profile"),
                # boto3 knows AWS_DEFAULT_REGION alone; the official provider knows both.
                region_name=self.configuration.get("region") or os.environ.get("AWS_REGION"),
                aws_access_key_id=self.configuration.get("accessKey"),
                aws_secret_access_key=self.configuration.get("secretKey"),
                aws_session_token=self.configuration.get("token"),
            )
        return self._session

    @property
    def region(self) -> str:
        """The region of resources that name none.

        Raises ValueError if neither the configuration nor the environment gives one.
        """
        with self._lock:
            region = self._boto().region_name
        if not region:
            raise ValueError("missing region: set it with `pulumi config set aws:region <region>`")
        return str(region)

    @property
    def partition(self) -> str:
        with self._lock:
            return str(self._boto().get_partition_for_region(self._boto().region_name or "us-east-1"))

    def client(self, service: str, region: str | None = None) -> Any:  # noqa: ANN401
        """Give a boto3 client; an endpoint of the configuration beats ``AWS_ENDPOINT_URL``, which boto3 reads."""
        region = region or self.region
        with self._lock:
            if (service, region) not in self._clients:
                endpoints: dict[str, str] = {}
                for block in self.configuration.get("endpoints") or []:
                    endpoints |= block
                self._clients[service, region] = self._boto().client(  # type: ignore[call-overload]
                    service,
                    region_name=region,
                    endpoint_url=endpoints.get(service),
                    verify=False if self.configuration.get("insecure") else None,
                    config=Config(
                        max_pool_connections=64,
                        retries={"mode": "standard", "max_attempts": int(self.configuration.get("maxRetries", 3))},
                    ),
                )
            return self._clients[service, region]

    @property
    def default_tags(self) -> dict[str, str]:
        """Tags that every resource gets; a resource's own win."""
        return dict((self.configuration.get("defaultTags") or {}).get("tags") or {})

    def ignores(self, tag: str) -> bool:
        ignored = self.configuration.get("ignoreTags") or {}
        return tag in (ignored.get("keys") or ()) or tag.startswith(("aws:", *(ignored.get("keyPrefixes") or ())))


def code(error: ClientError) -> str:
    """The API's own name of the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def retry(call: Callable[[], T], codes: Iterable[str], patience: float, *, text: str = "") -> T:
    """Call again each second while the API answers one of `codes` (with `text` in its message)."""
    end = time.monotonic() + patience
    while True:
        try:
            return call()
        except ClientError as error:
            if code(error) not in codes or text not in str(error) or time.monotonic() >= end:
                raise
            pause(1)


class AwsResource(Resource):
    """A type whose arguments are a table; a subclass adds the calls."""

    service: ClassVar[str]
    """boto3's name of the API."""
    schema: ClassVar[Schema]
    outputs: ClassVar[tuple[str, ...]] = ("arn",)
    """What the API computes, besides arguments that are `Arg.computed`."""
    gone: ClassVar[tuple[str, ...]] = ()
    """Error codes that say that the object does not exist."""
    tagged: ClassVar[str] = "ResourceArn"
    """What the API calls the ARN of an object that it tags; an API with other calls overrides `retag`."""
    refused: ClassVar[frozenset[str]] = frozenset()
    """Arguments of the official provider that this one does not have: a preview refuses them by name."""
    naming: ClassVar[str] = "name"
    """The argument that names the object; with ``Prefix`` behind it, the one that begins its name."""
    longest_name: ClassVar[int] = 255
    longest_prefix: ClassVar[int] = 229
    """26 characters less: the length of what a `namePrefix` is completed with."""
    name_pattern: ClassVar[str] = ""
    name_prefix: ClassVar[str] = ""
    """What a generated name must begin with."""
    regional: ClassVar[bool] = True
    """Whether the type has the argument ``region``; what is global has not."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.table: Schema = {**self.schema, "region": REGION} if self.regional else self.schema
        self.arguments = frozenset(self.table) | ({"tagsAll"} if "tags" in self.table else set())

    # What a subclass says

    @abstractmethod
    def make(self, api: Any, inputs: Properties, timeout: float) -> str:  # noqa: ANN401
        """Create the object and give its ID; `inputs` has a name, and `tagsAll` to put on it."""

    def settle(self, api: Any, id: str, inputs: Properties) -> None:  # noqa: ANN401
        """Do the rest of a create; if it fails, the object is kept in the state as not ready."""

    @abstractmethod
    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:  # noqa: ANN401
        """Give all arguments and outputs as they live, tags as ``tagsAll``; None, or an error in `gone`, if it is not.

        `inputs` is empty in an import.
        """

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:  # noqa: ANN401
        """Change in place what differs, besides tags."""
        raise NotImplementedError(f"{type(self).__name__} has no change in place")

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:  # noqa: ANN401
        """Set and remove tags; `state` is the old outputs."""
        tagged = {self.tagged: state["arn"]}
        if drop:
            api.untag_resource(**tagged, TagKeys=drop)
        if put:
            api.tag_resource(**tagged, Tags=tag_list(put))

    @abstractmethod
    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:  # noqa: ANN401
        """Delete the object; an error in `gone` counts as done."""

    def validate(self, inputs: Properties) -> None:
        """Raise `CheckFailure` for what single arguments cannot show; any value may be `UNKNOWN`."""

    # The contract

    def check(self, name: str, old: Properties | None, new: Properties) -> Properties:
        given = {key: value for key, value in new.items() if key not in ("tagsAll", "__defaults")}
        inputs = complete(self.table, given)
        if self.naming in self.table:
            self._name(name, old or {}, inputs)
        self.validate(inputs)
        if "tags" in self.table:
            tags = inputs.get("tags")
            every = UNKNOWN if tags is UNKNOWN else {**self.cloud.default_tags, **(tags or {})}
            if every:
                inputs["tagsAll"] = every
        return keep(self.table, inputs, old)

    def _name(self, logical: str, old: Properties, inputs: Properties) -> None:
        """Generate a name where the program gives none; ``__defaults`` says so, as in the official provider."""
        name, prefix = self.naming, f"{self.naming}Prefix"
        if prefix in inputs:
            if name in inputs:
                raise CheckFailure(prefix, f"conflicts with {name}")
            self._fits(prefix, inputs[prefix], self.longest_prefix)
            return
        if name not in inputs:
            if name in old.get("__defaults", ()):
                inputs[name] = old[name]
            else:
                suffix = self.name_suffix(inputs)
                longest = self.longest_name - RANDOM_DIGITS - 1 - len(self.name_prefix + suffix)
                if len(logical) > longest:
                    raise CheckFailure(
                        name,
                        f"no name can be made from {logical!r}: with a hyphen and {RANDOM_DIGITS} random digits it "
                        f"would pass {self.longest_name} characters; shorten it to {longest}, or set {name}",
                    )
                inputs[name] = self.name_prefix + autoname(self.spelled(logical), RANDOM_DIGITS) + suffix
            inputs["__defaults"] = [name]
        self._fits(name, inputs[name], self.longest_name)

    def spelled(self, logical: str) -> str:
        """The resource's logical name as it may begin a generated one."""
        return logical

    def name_suffix(self, inputs: Properties) -> str:
        """What a generated name must end in."""
        return ""

    def _fits(self, argument: str, value: Any, longest: int) -> None:  # noqa: ANN401
        if value is UNKNOWN:
            return
        if len(value) > longest:
            raise CheckFailure(argument, f"{value!r} is longer than {longest} characters")
        if self.name_pattern and not re.fullmatch(self.name_pattern, value):
            raise CheckFailure(argument, f"{value!r} does not match {self.name_pattern}")

    def replaces(self, old: Properties, new: Properties) -> set[str]:
        return {
            key
            for key, arg in self.table.items()
            if arg.replace and not same(arg, old.get(key), new.get(key)) and not (arg.computed and key not in new)
        }

    def deletes_first(self, old: Properties, new: Properties) -> bool:
        """An object under a name of the program's own cannot stand beside the one that has the name now."""
        name = self.naming
        return name in new and "__defaults" not in new and old.get(name) == new[name]

    def preview(self, inputs: Properties, state: Properties | None) -> Properties:
        computed = [*self.outputs, *(key for key, arg in self.table.items() if arg.computed or key == self.naming)]
        outputs = {key: (state or {}).get(key, UNKNOWN) for key in computed}
        return outputs | {key: value for key, value in inputs.items() if key != "__defaults"}

    def create(self, inputs: Properties, timeout: float) -> tuple[str, Properties]:
        api = self._api(inputs)
        named = dict(inputs)
        if prefix := named.get(f"{self.naming}Prefix"):
            named[self.naming] = f"{prefix}{time.strftime('%Y%m%d%H%M%S')}{autoname('', 12, '')}"
        made = self.make(api, named, timeout)
        try:
            self.settle(api, made, named)
        except Exception as error:
            raise PartialFailure(made, self._outputs(api, made, inputs), [str(error)]) from error
        return made, self._outputs(api, made, inputs)

    def _outputs(self, api: Any, id: str, inputs: Properties) -> Properties:  # noqa: ANN401
        found = self._live(api, id, inputs)
        return {key: value for key, value in inputs.items() if key != "__defaults"} if found is None else found[1]

    def read(self, id: str, inputs: Properties | None) -> tuple[Properties, Properties] | None:
        """Read; an ID to import may end in ``@region``."""
        region = (inputs or {}).get("region")
        if inputs is None and (match := re.fullmatch(r"(.+)@([a-z]{2}(-[a-z]+)+-\d)", id)):
            return self._live(self._api({"region": match[2]}), match[1], inputs)
        return self._live(self._api({"region": region}), id, inputs)

    def _live(
        self,
        api: Any,  # noqa: ANN401
        id: str,
        inputs: Properties | None,
    ) -> tuple[Properties, Properties] | None:
        try:
            live = self.describe(api, id, inputs or {})
        except ClientError as error:
            if code(error) not in self.gone:
                raise
            live = None
        if live is None:
            return None
        if self.regional:
            live["region"] = api.meta.region_name
        wanted = inputs or {}
        if "tags" in self.table:
            self._tags(live, wanted)
        for key, arg in self.table.items():
            if not arg.stored and key in wanted:
                live[key] = wanted[key]
        outputs = {
            key: align(self.table[key], value, wanted.get(key), whole=True) if key in self.table else value
            for key, value in live.items()
            if value is not None
        }
        if inputs is None:
            seen = {
                key: value
                for key, value in outputs.items()
                if key in self.table and key != "region" and value != self.table[key].default and value not in ([], {})
            }
            seen = complete(self.table, seen)
            return seen | ({"tagsAll": live["tagsAll"]} if live.get("tagsAll") else {}), outputs
        seen = {
            key: align(self.table[key], live.get(key), value, whole=False) if key in self.table else value
            for key, value in inputs.items()
        }
        if "tags" in self.table:
            seen |= {key: live[key] for key in ("tags", "tagsAll") if live[key]}
        return {key: value for key, value in seen.items() if value is not None}, outputs

    def _tags(self, live: Properties, wanted: Properties) -> None:
        """Tell the resource's own tags from those that the provider's configuration adds."""
        every = {key: value for key, value in (live.get("tagsAll") or {}).items() if not self.cloud.ignores(key)}
        default = self.cloud.default_tags
        own = wanted.get("tags") or {}
        live["tags"] = {key: value for key, value in every.items() if key in own or default.get(key) != value}
        live["tagsAll"] = every

    def update(self, id: str, state: Properties, old: Properties, new: Properties, timeout: float) -> Properties:
        api = self._api(state)
        if old == new:  # the engine asks again for what a create left undone
            self.settle(api, id, new)
        if changed((old.keys() | new.keys()) - {"tags", "tagsAll", "__defaults"}, old, new):
            self.change(api, id, old, {**new, self.naming: new.get(self.naming, state.get(self.naming))})
        before, after = old.get("tagsAll") or {}, new.get("tagsAll") or {}
        put = {key: value for key, value in after.items() if before.get(key) != value}
        drop = sorted(before.keys() - after.keys())
        if put or drop:
            self.retag(api, id, state, put, drop)
        return self._outputs(api, id, new)

    def delete(self, id: str, state: Properties, timeout: float) -> None:
        try:
            self.remove(self._api(state), id, state, timeout)
        except ClientError as error:
            if code(error) not in self.gone:
                raise

    def _api(self, properties: Properties) -> Any:  # noqa: ANN401
        return self.cloud.client(self.service, properties.get("region") if self.regional else None)


def changed(keys: Iterable[str], old: Properties, new: Properties) -> bool:
    """Tell whether any of the arguments differs."""
    return any(old.get(key) != new.get(key) for key in keys)


def known(*values: Any) -> bool:  # noqa: ANN401
    """Tell whether all values are known; most validation has to wait until they are."""
    return all(map(is_known, values))


def tag_list(tags: Mapping[str, str] | None) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]


def tag_map(tags: Iterable[Mapping[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


def tail(arn: str) -> str:
    """What follows the account in an ARN."""
    return arn.split(":", 5)[-1]
