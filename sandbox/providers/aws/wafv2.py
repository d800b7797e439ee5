"""Web ACLs and what they protect."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

from collections.abc import Callable
from typing import Any, ClassVar, Final

from sandbox.providers.aws.base import NAME, NAME_PREFIX, PATIENCE, TAGS, AwsResource, retry, tag_list, tag_map
from sandbox.providers.aws.schema import Arg, Schema, from_api, to_api
from sandbox.providers.plugin import UNKNOWN, CheckFailure, Properties

UNAVAILABLE: Final = "WAFUnavailableEntityException"
"""What the API answers of an object that is not yet known everywhere, a minute after it was made."""
GONE: Final = ("WAFNonexistentItemException",)

_HEADERS: Final = Arg(many=True, key="name", fields={"name": Arg(required=True), "value": Arg(required=True)})
_INSERT: Final = Arg(
    empty=True, fields={"customRequestHandling": Arg(fields={"insertHeaders": Arg(many=True, fields=_HEADERS.fields)})}
)
_BLOCK: Final = Arg(
    empty=True,
    fields={
        "customResponse": Arg(
            fields={
                "customResponseBodyKey": Arg(low=1, high=128),
                "responseCode": Arg(type=int, required=True, low=200, high=599),
                "responseHeaders": _HEADERS,
            }
        )
    },
)
ACTIONS: Final[Schema] = {
    "allow": _INSERT,
    "block": _BLOCK,
    "captcha": _INSERT,
    "challenge": _INSERT,
    "count": _INSERT,
}
_NOTHING: Final = Arg(empty=True, fields={})
VISIBILITY: Final = Arg(
    required=True,
    fields={
        "cloudwatchMetricsEnabled": Arg(type=bool, required=True, api="CloudWatchMetricsEnabled"),
        "metricName": Arg(required=True, low=1, high=128, pattern="[0-9A-Za-z_-]+"),
        "sampledRequestsEnabled": Arg(type=bool, required=True),
    },
)
FORWARDED: Final = Arg(
    fields={
        "fallbackBehavior": Arg(required=True, choices=("MATCH", "NO_MATCH")),
        "headerName": Arg(required=True, low=1, high=255),
    },
    api="ForwardedIPConfig",
)
MATCHES: Final[Schema] = {
    "geoMatchStatement": Arg(
        fields={"countryCodes": Arg(many=True, required=True), "forwardedIpConfig": FORWARDED},
    ),
    "ipSetReferenceStatement": Arg(
        partial=True, fields={"arn": Arg(required=True, api="ARN")}, api="IPSetReferenceStatement"
    ),
    "labelMatchStatement": Arg(
        fields={"key": Arg(required=True), "scope": Arg(required=True, choices=("LABEL", "NAMESPACE"))}
    ),
}
STATEMENTS: Final[Schema] = {
    **MATCHES,
    "managedRuleGroupStatement": Arg(
        partial=True,
        fields={
            "name": Arg(required=True, low=1, high=128),
            "ruleActionOverrides": Arg(
                many=True,
                key="name",
                fields={
                    "actionToUse": Arg(required=True, fields=ACTIONS),
                    "name": Arg(required=True, low=1, high=128),
                },
            ),
            "scopeDownStatement": Arg(partial=True, fields=MATCHES),
            "vendorName": Arg(required=True, low=1, high=128),
            "version": Arg(low=1, high=64),
        },
    ),
    "rateBasedStatement": Arg(
        partial=True,
        fields={
            "aggregateKeyType": Arg(default="IP", choices=("CONSTANT", "FORWARDED_IP", "IP")),
            "evaluationWindowSec": Arg(type=int, default=300),
            "forwardedIpConfig": FORWARDED,
            "limit": Arg(type=int, required=True, low=10, high=2_000_000_000),
            "scopeDownStatement": Arg(partial=True, fields=MATCHES),
        },
    ),
}
_WINDOWS: Final = (60, 120, 300, 600)
"""Seconds over which the API counts requests."""
_GROUPS: Final = ("managedRuleGroupStatement",)
"""Statements whose own rules act, so that a rule can only override them."""

RULE: Final[Schema] = {
    "action": Arg(fields=ACTIONS),
    "name": Arg(required=True, low=1, high=128),
    "overrideAction": Arg(fields={"count": _NOTHING, "none": _NOTHING}),
    "priority": Arg(type=int, required=True, low=0),
    "ruleLabels": Arg(many=True, key="name", fields={"name": Arg(required=True, low=1, high=1024)}),
    "statement": Arg(required=True, partial=True, fields=STATEMENTS),
    "visibilityConfig": VISIBILITY,
}


class WebAcl(AwsResource):
    """``aws:wafv2/webAcl:WebAcl``; the ID is the API's. An import names the ACL too: ``id/name/scope``."""

    service = "wafv2"
    longest_name = 128
    longest_prefix = 102
    name_pattern = r"[0-9A-Za-z_-]+"
    outputs = ("applicationIntegrationUrl", "arn", "capacity", "lockToken")
    gone = GONE
    tagged = "ResourceARN"
    refused = frozenset({"associationConfig", "captchaConfig", "challengeConfig", "dataProtectionConfig", "ruleJson"})
    schema = {
        "customResponseBodies": Arg(
            many=True,
            key="key",
            fields={
                "content": Arg(required=True, low=1, high=10240),
                "contentType": Arg(required=True, choices=("APPLICATION_JSON", "TEXT_HTML", "TEXT_PLAIN")),
                "key": Arg(required=True, pattern=r"[\w-]+"),
            },
        ),
        "defaultAction": Arg(required=True, fields={"allow": _INSERT, "block": _BLOCK}),
        "description": Arg(low=1, high=256),
        "name": NAME,
        "namePrefix": NAME_PREFIX,
        "rules": Arg(many=True, key="name", partial=True, fields=RULE),
        "scope": Arg(required=True, replace=True, choices=("CLOUDFRONT", "REGIONAL")),
        "tags": TAGS,
        "tokenDomains": Arg(many=True),
        "visibilityConfig": VISIBILITY,
    }
    _settings: ClassVar[Schema] = {
        key: arg
        for key, arg in schema.items()
        if key in ("defaultAction", "description", "rules", "tokenDomains", "visibilityConfig")
    }

    def validate(self, inputs: Properties) -> None:
        _exactly_one("defaultAction", inputs["defaultAction"])
        if inputs.get("rules") is UNKNOWN:
            return
        for index, rule in enumerate(inputs.get("rules") or []):
            if isinstance(rule, dict):
                self._validate_rule(f"rules[{index}]", rule)

    @staticmethod
    def _validate_rule(at: str, rule: Properties) -> None:
        statement = rule["statement"]
        _exactly_one(f"{at}.statement", statement)
        if statement is UNKNOWN:
            return
        (kind,) = statement
        wanted, other = ("overrideAction", "action") if kind in _GROUPS else ("action", "overrideAction")
        if other in rule or wanted not in rule:
            raise CheckFailure(f"{at}.{wanted}", f"a rule with {kind} has {wanted} and no {other}")
        _exactly_one(f"{at}.{wanted}", rule[wanted])
        rate = statement.get("rateBasedStatement")
        if not isinstance(rate, dict):
            return
        if rate["evaluationWindowSec"] is not UNKNOWN and rate["evaluationWindowSec"] not in _WINDOWS:
            path = f"{at}.statement.rateBasedStatement.evaluationWindowSec"
            raise CheckFailure(path, f"one of {', '.join(map(str, _WINDOWS))} is wanted")
        if (rate["aggregateKeyType"] == "FORWARDED_IP") != ("forwardedIpConfig" in rate):
            path = f"{at}.statement.rateBasedStatement.forwardedIpConfig"
            raise CheckFailure(path, "wanted with the key type FORWARDED_IP, and only then")

    def _request(self, inputs: Properties) -> dict[str, Any]:
        request = {"Scope": inputs["scope"], "Rules": [], **to_api(self._settings, inputs)}
        if bodies := inputs.get("customResponseBodies"):
            request["CustomResponseBodies"] = {
                body["key"]: {"Content": body["content"], "ContentType": body["contentType"]} for body in bodies
            }
        return request

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        tags = {"Tags": tag_list(inputs["tagsAll"])} if inputs.get("tagsAll") else {}
        made = _patiently(
            lambda: api.create_web_acl(Name=inputs["name"], **self._request(inputs), **tags), (UNAVAILABLE,), timeout
        )
        return str(made["Summary"]["Id"])

    @staticmethod
    def _address(api: Any, id: str, properties: Properties) -> dict[str, str] | None:
        """Give what the API wants to know of the ACL in every call; the name is not in an ID, nor in all inputs."""
        key, _, rest = id.partition("/")
        name, _, scope = rest.partition("/")
        scope = scope or properties.get("scope", "REGIONAL")
        if name := name or properties.get("name", ""):
            return {"Name": name, "Scope": scope, "Id": key}
        more: dict[str, str] = {}
        while True:
            answer = api.list_web_acls(Scope=scope, **more)
            for item in answer["WebACLs"]:
                if item["Id"] == key:
                    return {"Name": item["Name"], "Scope": scope, "Id": key}
            if not answer.get("NextMarker"):
                return None
            more = {"NextMarker": answer["NextMarker"]}

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        address = self._address(api, id, inputs)
        if address is None:
            return None
        answer = api.get_web_acl(**address)
        found = answer["WebACL"]
        bodies = [
            {"key": key, "content": body["Content"], "contentType": body["ContentType"]}
            for key, body in (found.get("CustomResponseBodies") or {}).items()
        ]
        return {
            **from_api(self._settings, found),
            "description": found.get("Description") or None,
            "customResponseBodies": bodies or None,
            "name": found["Name"],
            "scope": address["Scope"],
            "applicationIntegrationUrl": answer.get("ApplicationIntegrationURL", ""),
            "arn": found["ARN"],
            "capacity": found.get("Capacity", 0),
            "lockToken": answer["LockToken"],
            "tagsAll": tag_map(api.list_tags_for_resource(ResourceARN=found["ARN"])["TagInfoForResource"]["TagList"]),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        address = self._address(api, id, new)
        assert address is not None

        def update() -> None:
            token = api.get_web_acl(**address)["LockToken"]
            api.update_web_acl(**{**address, **self._request(new)}, LockToken=token)

        _patiently(update, (UNAVAILABLE, "WAFOptimisticLockException"), self.default_timeout)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        address = self._address(api, id, state)
        if address is None:
            return

        def delete() -> None:
            api.delete_web_acl(**address, LockToken=api.get_web_acl(**address)["LockToken"])

        _patiently(delete, (UNAVAILABLE, "WAFAssociatedItemException", "WAFOptimisticLockException"), timeout)


def _exactly_one(path: str, block: Any) -> None:
    if isinstance(block, dict) and len(block) != 1:
        raise CheckFailure(path, f"exactly one member is wanted, got {len(block)}")


def _patiently(call: Callable[[], Any], codes: tuple[str, ...], timeout: float) -> Any:
    return retry(call, codes, min(timeout, PATIENCE))


class WebAclAssociation(AwsResource):
    """``aws:wafv2/webAclAssociation:WebAclAssociation``; the ID is both ARNs joined by a comma."""

    service = "wafv2"
    outputs = ()
    gone = GONE
    schema = {
        "resourceArn": Arg(required=True, replace=True),
        "webAclArn": Arg(required=True, replace=True),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        acl, resource = inputs["webAclArn"], inputs["resourceArn"]
        _patiently(lambda: api.associate_web_acl(WebACLArn=acl, ResourceArn=resource), (UNAVAILABLE,), timeout)
        return f"{acl},{resource}"

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        acl, _, resource = id.partition(",")
        found = api.get_web_acl_for_resource(ResourceArn=resource).get("WebACL") or {}
        return {"webAclArn": acl, "resourceArn": resource} if found.get("ARN") == acl else None

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        resource = id.partition(",")[2]
        _patiently(lambda: api.disassociate_web_acl(ResourceArn=resource), (UNAVAILABLE,), timeout)
