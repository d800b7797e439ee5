"""Listeners, their certificates and rules, and the actions that both have."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

import re
from typing import Any, Final

from sandbox.providers.aws.base import PATIENCE, TAGS, changed, retry, tag_list
from sandbox.providers.aws.elb import APPLICATION, WEEK, ElbResource, attribute_list
from sandbox.providers.aws.schema import MAP, Arg, Schema, from_api, nest, pascal, to_api
from sandbox.providers.plugin import UNKNOWN, CheckFailure, Properties

# --- actions --------------------------------------------------------------------------------------------------------

_EXTRA: Final = {
    "authenticationRequestExtraParams": Arg(type=MAP),
    "onUnauthenticatedRequest": Arg(computed=True, choices=("deny", "allow", "authenticate")),
    "scope": Arg(default="openid"),
    "sessionCookieName": Arg(default="AWSELBAuthSessionCookie"),
    "sessionTimeout": Arg(type=int, default=WEEK),
}

ACTIONS: Final = Arg(
    many=True,
    ordered=True,
    required=True,
    fields={
        "type": Arg(
            required=True,
            choices=(
                "forward",
                "redirect",
                "fixed-response",
                "authenticate-cognito",
                "authenticate-oidc",
                "jwt-validation",
            ),
        ),
        "order": Arg(type=int, computed=True, low=1, high=50000),
        "targetGroupArn": Arg(),
        "forward": Arg(
            api="ForwardConfig",
            fields={
                "targetGroups": Arg(
                    many=True,
                    required=True,
                    key="arn",
                    fields={
                        "arn": Arg(required=True, api="TargetGroupArn"),
                        "weight": Arg(type=int, default=1, low=0, high=999),
                    },
                ),
                "stickiness": Arg(
                    api="TargetGroupStickinessConfig",
                    fields={
                        "duration": Arg(type=int, required=True, low=1, high=WEEK, api="DurationSeconds"),
                        "enabled": Arg(type=bool, default=False),
                    },
                ),
            },
        ),
        "redirect": Arg(
            api="RedirectConfig",
            fields={
                "host": Arg(default="#{host}", low=1, high=128),
                "path": Arg(default="/#{path}", low=1, high=128),
                "port": Arg(default="#{port}"),
                "protocol": Arg(default="#{protocol}", choices=("#{protocol}", "HTTP", "HTTPS")),
                "query": Arg(default="#{query}", high=128),
                "statusCode": Arg(required=True, choices=("HTTP_301", "HTTP_302")),
            },
        ),
        "fixedResponse": Arg(
            api="FixedResponseConfig",
            fields={
                "contentType": Arg(
                    required=True,
                    choices=("text/plain", "text/css", "text/html", "application/javascript", "application/json"),
                ),
                "messageBody": Arg(high=1024),
                "statusCode": Arg(computed=True, pattern=r"[245]\d\d"),
            },
        ),
        "authenticateCognito": Arg(
            api="AuthenticateCognitoConfig",
            fields={
                "userPoolArn": Arg(required=True),
                "userPoolClientId": Arg(required=True),
                "userPoolDomain": Arg(required=True),
                **_EXTRA,
            },
        ),
        "authenticateOidc": Arg(
            api="AuthenticateOidcConfig",
            fields={
                "authorizationEndpoint": Arg(required=True),
                "clientId": Arg(required=True),
                "clientSecret": Arg(required=True, stored=False),
                "issuer": Arg(required=True),
                "tokenEndpoint": Arg(required=True),
                "userInfoEndpoint": Arg(required=True),
                **_EXTRA,
            },
        ),
        "jwtValidation": Arg(
            api="JwtValidationConfig",
            fields={
                "issuer": Arg(required=True),
                "jwksEndpoint": Arg(required=True),
                "additionalClaims": Arg(
                    many=True,
                    key="name",
                    fields={
                        "format": Arg(
                            required=True, choices=("single-string", "string-array", "space-separated-values")
                        ),
                        "name": Arg(required=True),
                        "values": Arg(many=True, required=True),
                    },
                ),
            },
        ),
    },
)
_ACTION_FIELDS: Final[Schema] = ACTIONS.fields or {}
_BLOCK_OF: Final = {
    "redirect": "redirect",
    "fixed-response": "fixedResponse",
    "authenticate-cognito": "authenticateCognito",
    "authenticate-oidc": "authenticateOidc",
    "jwt-validation": "jwtValidation",
}


def validate_actions(argument: str, actions: Any) -> None:
    if actions is UNKNOWN:
        return
    for index, action in enumerate(actions):
        if action is UNKNOWN:
            continue
        at, kind = f"{argument}[{index}]", action["type"]
        if kind == "forward":
            if ("targetGroupArn" in action) == ("forward" in action):
                raise CheckFailure(at, "exactly one of forward and targetGroupArn is wanted for a forward action")
            groups = (action.get("forward") or {}).get("targetGroups")
            if isinstance(groups, list) and not 1 <= len(groups) <= 5:
                raise CheckFailure(f"{at}.forward.targetGroups", f"1 to 5 target groups are wanted, got {len(groups)}")
        elif kind in _BLOCK_OF and _BLOCK_OF[kind] not in action:
            raise CheckFailure(f"{at}.{_BLOCK_OF[kind]}", f"required for the action type {kind}")


def live_actions(answer: list[dict[str, Any]], wanted: Any) -> list[Properties]:
    """Give the actions as both ways of naming one group would have them, for the program may use either."""
    models = wanted if isinstance(wanted, list) else []
    result = []
    for index, item in enumerate(sorted(answer, key=lambda action: action.get("Order") or 0)):
        action = from_api(_ACTION_FIELDS, item)
        model = models[index] if index < len(models) else {}
        if action["type"] == "forward":
            _complete_forward(action, model, imported=not models)
        result.append(action)
    return result


def _complete_forward(action: Properties, model: Properties, *, imported: bool) -> None:
    arn = action.get("targetGroupArn")
    forward = action.setdefault("forward", {"targetGroups": [{"arn": arn, "weight": 1}]} if arn else {})
    groups = forward.get("targetGroups", [])
    for group in groups:
        group.setdefault("weight", 1)
    sticky = forward.setdefault("stickiness", {})
    sticky.setdefault("enabled", False)
    if not sticky["enabled"]:
        # The duration of a stickiness that is off means nothing, and not every answer has it.
        model_sticky = (model.get("forward") or {}).get("stickiness") or {}
        sticky.setdefault("duration", model_sticky.get("duration", 3600))
    if len(groups) == 1 and not sticky["enabled"]:
        action["targetGroupArn"] = groups[0]["arn"]
        if imported:
            del action["forward"]


def api_actions(actions: list[Properties]) -> list[dict[str, Any]]:
    return [to_api(_ACTION_FIELDS, action) for action in actions]


# --- listeners ------------------------------------------------------------------------------------------------------

_MTLS: Final = ("", "_issuer", "_leaf", "_serial_number", "_subject", "_validity")
_RESPONSE_HEADERS: Final = (
    "access_control_allow_credentials",
    "access_control_allow_headers",
    "access_control_allow_methods",
    "access_control_allow_origin",
    "access_control_expose_headers",
    "access_control_max_age",
    "content_security_policy",
    "strict_transport_security",
    "x_content_type_options",
    "x_frame_options",
)
_LISTENER_KEYS: Final = (
    *(f"routing.http.request.x_amzn_mtls_clientcert{part}.header_name" for part in _MTLS),
    "routing.http.request.x_amzn_tls_cipher_suite.header_name",
    "routing.http.request.x_amzn_tls_version.header_name",
    *(f"routing.http.response.{header}.header_value" for header in _RESPONSE_HEADERS),
    "routing.http.response.server.enabled",
)


def _argument(key: str) -> str:
    """``routing.http.response.server.enabled`` → ``routingHttpResponseServerEnabled``."""
    return re.sub(r"[._](.)", lambda found: found[1].upper(), key)


LISTENER_ATTRIBUTES: Final = {_argument(key): key for key in _LISTENER_KEYS} | {
    "tcpIdleTimeoutSeconds": "tcp.idle_timeout.seconds"
}
MUTUAL_AUTHENTICATION: Final[Schema] = {
    "advertiseTrustStoreCaNames": Arg(computed=True, choices=("on", "off")),
    "ignoreClientCertificateExpiry": Arg(type=bool, default=False),
    "mode": Arg(required=True, choices=("off", "passthrough", "verify")),
    "trustStoreArn": Arg(),
}


class Listener(ElbResource):
    """``aws:lb/listener:Listener``."""

    gone = ("ListenerNotFound", "LoadBalancerNotFound")
    schema = {
        "alpnPolicy": Arg(choices=("HTTP1Only", "HTTP2Only", "HTTP2Optional", "HTTP2Preferred", "None")),
        "certificateArn": Arg(),
        "defaultActions": ACTIONS,
        "loadBalancerArn": Arg(required=True, replace=True),
        "mutualAuthentication": Arg(fields=MUTUAL_AUTHENTICATION, computed=True),
        "port": Arg(type=int, low=1, high=65535),
        "protocol": Arg(
            computed=True, choices=("HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC")
        ),
        **{
            name: Arg(computed=True, type=bool if name.endswith("Enabled") else str)
            for name in LISTENER_ATTRIBUTES
            if name != "tcpIdleTimeoutSeconds"
        },
        "sslPolicy": Arg(computed=True),
        "tags": TAGS,
        "tcpIdleTimeoutSeconds": Arg(type=int, computed=True, low=60, high=6000),
    }

    def validate(self, inputs: Properties) -> None:
        validate_actions("defaultActions", inputs["defaultActions"])

    def _request(self, inputs: Properties) -> dict[str, Any]:
        request = to_api({key: self.schema[key] for key in ("port", "protocol", "sslPolicy")}, inputs)
        if inputs.get("protocol") in ("HTTP", "TCP", "UDP", "TCP_UDP"):
            request.pop("SslPolicy", None)
        request["DefaultActions"] = api_actions(inputs["defaultActions"])
        if inputs.get("certificateArn"):
            request["Certificates"] = [{"CertificateArn": inputs["certificateArn"]}]
        if inputs.get("alpnPolicy"):
            request["AlpnPolicy"] = [inputs["alpnPolicy"]]
        if inputs.get("mutualAuthentication"):
            mutual = dict(inputs["mutualAuthentication"])
            if mutual["mode"] != "verify":
                mutual.pop("ignoreClientCertificateExpiry", None)
            request["MutualAuthentication"] = to_api(MUTUAL_AUTHENTICATION, mutual)
        return request

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        request = {"LoadBalancerArn": inputs["loadBalancerArn"], **self._request(inputs)}
        if "Protocol" not in request and ":loadbalancer/app/" in inputs["loadBalancerArn"]:
            request["Protocol"] = "HTTP"
        if inputs.get("tagsAll"):
            request["Tags"] = tag_list(inputs["tagsAll"])
        return str(api.create_listener(**request)["Listeners"][0]["ListenerArn"])

    def settle(self, api: Any, id: str, inputs: Properties) -> None:
        self._modify(api, id, {}, inputs)

    def _modify(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if wanted := attribute_list(LISTENER_ATTRIBUTES, old, new):
            api.modify_listener_attributes(ListenerArn=id, Attributes=wanted)

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        found = api.describe_listeners(ListenerArns=[id])["Listeners"]
        if not found:
            return None
        listener = found[0]
        answer = api.describe_listener_attributes(ListenerArn=id)["Attributes"]
        attributes = {item["Key"]: item["Value"] for item in answer}
        values = {path: attributes[key] for path, key in LISTENER_ATTRIBUTES.items() if key in attributes}
        if listener.get("Protocol") in APPLICATION:
            values.pop("tcpIdleTimeoutSeconds", None)
        live = from_api(
            {key: self.schema[key] for key in ("loadBalancerArn", "port", "protocol", "sslPolicy")}, listener
        )
        mutual = from_api(MUTUAL_AUTHENTICATION, listener.get("MutualAuthentication") or {})
        return {
            **nest(self.schema, values),
            **live,
            "alpnPolicy": next(iter(listener.get("AlpnPolicy") or []), None),
            "certificateArn": next((item["CertificateArn"] for item in listener.get("Certificates") or []), None),
            "defaultActions": live_actions(listener["DefaultActions"], inputs.get("defaultActions")),
            "mutualAuthentication": mutual or None,
            "arn": id,
            "tagsAll": self.tags(api, id),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        api_arguments = set(self.schema) - set(LISTENER_ATTRIBUTES) - {"tags"}
        if changed(api_arguments, old, new):
            api.modify_listener(ListenerArn=id, **self._request(new))
        self._modify(api, id, old, new)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_listener(ListenerArn=id)


class ListenerCertificate(ElbResource):
    """``aws:lb/listenerCertificate:ListenerCertificate``; the ID is both ARNs joined by an underscore."""

    outputs = ()
    gone = ("ListenerNotFound", "CertificateNotFound")
    schema = {
        "certificateArn": Arg(required=True, replace=True),
        "listenerArn": Arg(required=True, replace=True),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        certificate = {"CertificateArn": inputs["certificateArn"]}
        api.add_listener_certificates(ListenerArn=inputs["listenerArn"], Certificates=[certificate])
        return f"{inputs['listenerArn']}_{inputs['certificateArn']}"

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        listener, _, certificate = id.partition("_")
        marker: dict[str, str] = {}
        while True:
            answer = api.describe_listener_certificates(ListenerArn=listener, **marker)
            if any(
                item["CertificateArn"] == certificate and not item.get("IsDefault") for item in answer["Certificates"]
            ):
                return {"listenerArn": listener, "certificateArn": certificate}
            if not answer.get("NextMarker"):
                return None
            marker = {"Marker": answer["NextMarker"]}

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        listener, _, certificate = id.partition("_")
        api.remove_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": certificate}])


# --- rules ----------------------------------------------------------------------------------------------------------

_VALUES: Final = Arg(many=True)
_REGEX: Final[Schema] = {"regexValues": _VALUES, "values": _VALUES}
CONDITIONS: Final = Arg(
    many=True,
    required=True,
    fields={
        "hostHeader": Arg(fields=_REGEX),
        "httpHeader": Arg(
            fields={"httpHeaderName": Arg(required=True, pattern="[0-9A-Za-z_!#$%&'*+,.^`|~-]{1,40}"), **_REGEX}
        ),
        "httpRequestMethod": Arg(fields={"values": Arg(many=True, required=True, pattern="[A-Z_-]{1,40}")}),
        "pathPattern": Arg(fields=_REGEX),
        "queryStrings": Arg(many=True, fields={"key": Arg(), "value": Arg(required=True)}),
        "sourceIp": Arg(fields={"values": Arg(many=True, required=True)}),
    },
)
_CONDITION_FIELDS: Final[Schema] = CONDITIONS.fields or {}
_FIELD_OF: Final = {
    "hostHeader": ("host-header", "HostHeaderConfig"),
    "httpHeader": ("http-header", "HttpHeaderConfig"),
    "httpRequestMethod": ("http-request-method", "HttpRequestMethodConfig"),
    "pathPattern": ("path-pattern", "PathPatternConfig"),
    "queryStrings": ("query-string", "QueryStringConfig"),
    "sourceIp": ("source-ip", "SourceIpConfig"),
}
_REWRITE: Final[Schema] = {
    "rewrite": Arg(
        fields={"regex": Arg(required=True, low=1, high=1024), "replace": Arg(required=True, high=1024)},
    )
}
TRANSFORMS: Final[Schema] = {
    "type": Arg(required=True, choices=("url-rewrite", "host-header-rewrite")),
    "hostHeaderRewriteConfig": Arg(fields=_REWRITE),
    "urlRewriteConfig": Arg(fields=_REWRITE),
}


def api_conditions(conditions: list[Properties]) -> list[dict[str, Any]]:
    result = []
    for condition in conditions:
        kind, value = next(iter(condition.items()))
        field, config = _FIELD_OF[kind]
        body: Any = next(iter(to_api({kind: _CONDITION_FIELDS[kind]}, {kind: value}).values()))
        if kind == "queryStrings":
            body = {"Values": body}
        result.append({"Field": field, config: body})
    return result


def live_conditions(answer: list[dict[str, Any]]) -> list[Properties]:
    result: list[Properties] = []
    for item in answer:
        kind = next(kind for kind, (field, _) in _FIELD_OF.items() if field == item["Field"])
        arg = _CONDITION_FIELDS[kind]
        # An API older than the config blocks, or a rule made by such a client, has the values beside the field.
        body: dict[str, Any] = item.get(_FIELD_OF[kind][1]) or item
        if kind == "queryStrings":
            result.append({kind: [from_api(arg.fields or {}, pair) for pair in body.get("Values", [])]})
        else:
            result.append({kind: from_api(arg.fields or {}, body)})
    return result


class ListenerRule(ElbResource):
    """``aws:lb/listenerRule:ListenerRule``."""

    gone = ("RuleNotFound", "ListenerNotFound")
    schema = {
        "actions": ACTIONS,
        "conditions": CONDITIONS,
        "listenerArn": Arg(required=True, replace=True),
        "priority": Arg(type=int, computed=True, low=1, high=50000),
        "tags": TAGS,
        "transforms": Arg(many=True, key="type", fields=TRANSFORMS),
    }

    def validate(self, inputs: Properties) -> None:
        validate_actions("actions", inputs["actions"])
        if inputs["conditions"] is UNKNOWN:
            return
        for index, condition in enumerate(inputs["conditions"]):
            if condition is UNKNOWN:
                continue
            if len(condition) != 1:
                raise CheckFailure(
                    f"conditions[{index}]", f"exactly one of {', '.join(_FIELD_OF)} is wanted, got {len(condition)}"
                )
            kind, value = next(iter(condition.items()))
            if kind in ("hostHeader", "httpHeader", "pathPattern") and not (
                value is UNKNOWN or "values" in value or "regexValues" in value
            ):
                raise CheckFailure(f"conditions[{index}].{kind}", "values or regexValues are wanted")
        for index, transform in enumerate(inputs.get("transforms") or []):
            wanted = {"url-rewrite": "urlRewriteConfig"}.get(transform["type"], "hostHeaderRewriteConfig")
            if wanted not in transform:
                raise CheckFailure(f"transforms[{index}].{wanted}", f"required for the type {transform['type']}")

    @staticmethod
    def _transforms(inputs: Properties) -> list[dict[str, Any]]:
        """The API takes a list of rewrites where our block has one."""
        result = []
        for transform in inputs.get("transforms") or []:
            request: dict[str, Any] = {"Type": transform["type"]}
            for key in ("hostHeaderRewriteConfig", "urlRewriteConfig"):
                if key in transform:
                    rewrite = transform[key]["rewrite"]
                    pair = {"Regex": rewrite["regex"], "Replace": rewrite["replace"]}
                    request[pascal(key)] = {"Rewrites": [pair]}
            result.append(request)
        return result

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        request: dict[str, Any] = {
            "ListenerArn": inputs["listenerArn"],
            "Actions": api_actions(inputs["actions"]),
            "Conditions": api_conditions(inputs["conditions"]),
        }
        if transforms := self._transforms(inputs):
            request["Transforms"] = transforms
        if inputs.get("tagsAll"):
            request["Tags"] = tag_list(inputs["tagsAll"])
        if "priority" in inputs:
            made = api.create_rule(**request, Priority=inputs["priority"])
        else:
            # Two rules without a priority may want the same one at once.
            made = retry(
                lambda: api.create_rule(**request, Priority=self._highest(api, inputs["listenerArn"]) + 1),
                ["PriorityInUse"],
                PATIENCE,
            )
        return str(made["Rules"][0]["RuleArn"])

    @staticmethod
    def _highest(api: Any, listener: str) -> int:
        pages = api.get_paginator("describe_rules").paginate(ListenerArn=listener)
        priorities = [rule["Priority"] for page in pages for rule in page["Rules"]]
        return max((int(priority) for priority in priorities if priority != "default"), default=0)

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        found = api.describe_rules(RuleArns=[id])["Rules"]
        if not found:
            return None
        rule = found[0]
        transforms = []
        for item in rule.get("Transforms") or []:
            transform: Properties = {"type": item["Type"]}
            for key in ("hostHeaderRewriteConfig", "urlRewriteConfig"):
                for pair in (item.get(pascal(key)) or {}).get("Rewrites", [])[:1]:
                    transform[key] = {"rewrite": {"regex": pair["Regex"], "replace": pair["Replace"]}}
            transforms.append(transform)
        return {
            "actions": live_actions(rule["Actions"], inputs.get("actions")),
            "conditions": live_conditions(rule["Conditions"]),
            # arn:…:listener-rule/app/NAME/LB/LISTENER/RULE
            "listenerArn": id.replace(":listener-rule/", ":listener/").rpartition("/")[0],
            "priority": None if rule["Priority"] == "default" else int(rule["Priority"]),
            "transforms": transforms or None,
            "arn": id,
            "tagsAll": self.tags(api, id),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(["priority"], old, new):
            api.set_rule_priorities(RulePriorities=[{"RuleArn": id, "Priority": new["priority"]}])
        request: dict[str, Any] = {}
        if changed(["actions"], old, new):
            request["Actions"] = api_actions(new["actions"])
        if changed(["conditions"], old, new):
            request["Conditions"] = api_conditions(new["conditions"])
        if changed(["transforms"], old, new):
            transforms = self._transforms(new)
            if transforms:
                request["Transforms"] = transforms
            else:
                request["ResetTransforms"] = True
        if request:
            api.modify_rule(RuleArn=id, **request)

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        api.delete_rule(RuleArn=id)
