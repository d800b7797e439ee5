"""Security groups and their rules."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

from typing import Any, Final

from sandbox.providers.aws.base import (
    NAME,
    NAME_PREFIX,
    PATIENCE,
    TAGS,
    AwsResource,
    retry,
    tag_list,
    tag_map,
)
from sandbox.providers.aws.schema import Arg, from_api, to_api
from sandbox.providers.plugin import UNKNOWN, CheckFailure, Properties

PROTOCOLS: Final = {"6": "tcp", "17": "udp", "1": "icmp", "58": "icmpv6", "all": "-1"}
"""Spellings that the API answers in another way than it was asked."""


class Ec2Resource(AwsResource):
    """A resource of the API ``ec2``, where tags are set by ID."""

    service = "ec2"

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            api.delete_tags(Resources=[id], Tags=[{"Key": key} for key in drop])
        if put:
            api.create_tags(Resources=[id], Tags=tag_list(put))

    def arn(self, api: Any, owner: str, what: str) -> str:
        return f"arn:{self.cloud.partition}:ec2:{api.meta.region_name}:{owner}:{what}"


def tags_for(kind: str, inputs: Properties) -> dict[str, Any]:
    tags = inputs.get("tagsAll")
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": tag_list(tags)}]} if tags else {}


class SecurityGroup(Ec2Resource):
    """``aws:ec2/securityGroup:SecurityGroup``; like the official one it removes the rule that lets everything out."""

    outputs = ("arn", "ownerId")
    gone = ("InvalidGroup.NotFound", "InvalidGroupId.Malformed")
    refused = frozenset({"egress", "ingress"})
    name_pattern = r"(?!sg-)[\w .:/()#,@\[\]+=&;{}!$*-]+"
    schema = {
        "description": Arg(default="Managed by Pulumi", replace=True, low=1, high=255),
        "name": NAME,
        "namePrefix": NAME_PREFIX,
        "revokeRulesOnDelete": Arg(type=bool, default=False, stored=False),
        "tags": TAGS,
        "vpcId": Arg(computed=True, replace=True),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        vpc = {"VpcId": inputs["vpcId"]} if "vpcId" in inputs else {}
        made = api.create_security_group(
            GroupName=inputs["name"], Description=inputs["description"], **vpc, **tags_for("security-group", inputs)
        )
        return str(made["GroupId"])

    def settle(self, api: Any, id: str, inputs: Properties) -> None:
        if everything := self._group(api, id).get("IpPermissionsEgress"):
            api.revoke_security_group_egress(GroupId=id, IpPermissions=everything)

    @staticmethod
    def _group(api: Any, id: str) -> dict[str, Any]:
        return dict(api.describe_security_groups(GroupIds=[id])["SecurityGroups"][0])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        group = self._group(api, id)
        return {
            "name": group["GroupName"],
            "description": group["Description"],
            "vpcId": group.get("VpcId"),
            "ownerId": group["OwnerId"],
            "arn": group.get("SecurityGroupArn") or self.arn(api, group["OwnerId"], f"security-group/{id}"),
            "tagsAll": tag_map(group.get("Tags", [])),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        """Only ``revokeRulesOnDelete`` can change, and the API does not have it."""

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        if state.get("revokeRulesOnDelete"):
            group = self._group(api, id)
            for direction, key in (("ingress", "IpPermissions"), ("egress", "IpPermissionsEgress")):
                if group.get(key):
                    getattr(api, f"revoke_security_group_{direction}")(GroupId=id, IpPermissions=group[key])
        # The interfaces of a load balancer outlive it for a while and hold its groups.
        retry(lambda: api.delete_security_group(GroupId=id), ["DependencyViolation"], min(timeout, PATIENCE))


class SecurityGroupRule(Ec2Resource):
    """``aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule`` and its egress counterpart."""

    outputs = ("arn", "securityGroupRuleId")
    gone = ("InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound", "InvalidGroup.NotFound")
    schema = {
        "cidrIpv4": Arg(),
        "cidrIpv6": Arg(),
        "description": Arg(high=255),
        "fromPort": Arg(type=int, low=-1, high=65535),
        "ipProtocol": Arg(required=True),
        "prefixListId": Arg(),
        "referencedSecurityGroupId": Arg(),
        "securityGroupId": Arg(required=True, replace=True),
        "tags": TAGS,
        "toPort": Arg(type=int, low=-1, high=65535),
    }
    sources = ("cidrIpv4", "cidrIpv6", "prefixListId", "referencedSecurityGroupId")
    direction = "ingress"

    def validate(self, inputs: Properties) -> None:
        given = [source for source in self.sources if source in inputs]
        if len(given) != 1:
            raise CheckFailure(given[1] if given else "cidrIpv4", f"exactly one of {', '.join(self.sources)} is wanted")
        protocol = inputs["ipProtocol"]
        if protocol is UNKNOWN:
            return
        for port in ("fromPort", "toPort"):
            if protocol == "-1" and port in inputs and inputs[port] not in (-1, UNKNOWN):
                raise CheckFailure(port, "must not be set with the protocol -1, which has all ports")
            if protocol not in ("-1", "icmpv6", "58") and port not in inputs:
                raise CheckFailure(port, f"required for the protocol {protocol}")

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        permission: dict[str, Any] = {"IpProtocol": inputs["ipProtocol"]}
        permission |= to_api({key: self.schema[key] for key in ("fromPort", "toPort")}, inputs)
        note = {"Description": inputs["description"]} if inputs.get("description") else {}
        for ours, theirs, member in (
            ("cidrIpv4", "IpRanges", "CidrIp"),
            ("cidrIpv6", "Ipv6Ranges", "CidrIpv6"),
            ("prefixListId", "PrefixListIds", "PrefixListId"),
            ("referencedSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ):
            if ours in inputs:
                permission[theirs] = [{member: inputs[ours], **note}]
        made = getattr(api, f"authorize_security_group_{self.direction}")(
            GroupId=inputs["securityGroupId"],
            IpPermissions=[permission],
            **tags_for("security-group-rule", inputs),
        )
        return str(made["SecurityGroupRules"][0]["SecurityGroupRuleId"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        rule = api.describe_security_group_rules(SecurityGroupRuleIds=[id])["SecurityGroupRules"][0]
        if bool(rule["IsEgress"]) != (self.direction == "egress"):
            return None
        live = from_api(self.schema, rule)
        if live.get("ipProtocol") == "-1":
            live = {key: value for key, value in live.items() if key not in ("fromPort", "toPort")}
        live |= {key: inputs[key] for key in ("fromPort", "toPort") if inputs.get(key) == -1 and key not in live}
        wanted = inputs.get("ipProtocol")
        if isinstance(wanted, str) and PROTOCOLS.get(wanted, wanted) == live.get("ipProtocol"):
            live["ipProtocol"] = wanted
        return {
            **live,
            "description": rule.get("Description") or None,
            "referencedSecurityGroupId": (rule.get("ReferencedGroupInfo") or {}).get("GroupId"),
            "securityGroupId": rule["GroupId"],
            "securityGroupRuleId": id,
            "arn": rule.get("SecurityGroupRuleArn")
            or self.arn(api, rule.get("GroupOwnerId", ""), f"security-group-rule/{id}"),
            "tagsAll": tag_map(rule.get("Tags", [])),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        plain = ("ipProtocol", "fromPort", "toPort", "cidrIpv4", "cidrIpv6", "prefixListId", "description")
        request = to_api({key: self.schema[key] for key in plain}, new)
        if "referencedSecurityGroupId" in new:
            request["ReferencedGroupId"] = new["referencedSecurityGroupId"]
        api.modify_security_group_rules(
            GroupId=new["securityGroupId"],
            SecurityGroupRules=[{"SecurityGroupRuleId": id, "SecurityGroupRule": request}],
        )

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        revoke = getattr(api, f"revoke_security_group_{self.direction}")
        revoke(GroupId=state["securityGroupId"], SecurityGroupRuleIds=[id])


class SecurityGroupEgressRule(SecurityGroupRule):
    """``aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule``."""

    direction = "egress"
