"""DNS records."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

from typing import Any, Final

from sandbox.providers.aws.base import AwsResource
from sandbox.providers.aws.schema import Arg, Schema, from_api, to_api
from sandbox.providers.plugin import CheckFailure, Properties

_COORDINATE: Final[Schema] = {"latitude": Arg(required=True), "longitude": Arg(required=True)}
TYPES: Final = (
    *("A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR"),
    *("SOA", "SPF", "SRV", "SSHFP", "SVCB", "TLSA", "TXT"),
)
_POLICIES: Final = (
    "cidrRoutingPolicy",
    "failoverRoutingPolicies",
    "geolocationRoutingPolicies",
    "geoproximityRoutingPolicy",
    "latencyRoutingPolicies",
    "multivalueAnswerRoutingPolicy",
    "weightedRoutingPolicies",
)


def _first(blocks: Any) -> Properties:
    return dict(blocks[0]) if blocks else {}


class Record(AwsResource):
    """``aws:route53/record:Record``; the ID is ``zone_name_type`` and the set identifier, if there is one."""

    service = "route53"
    regional = False
    outputs = ("fqdn",)
    gone = ("NoSuchHostedZone",)
    schema = {
        "aliases": Arg(
            many=True,
            fields={
                "evaluateTargetHealth": Arg(type=bool, required=True),
                "name": Arg(required=True, api="DNSName"),
                "zoneId": Arg(required=True, api="HostedZoneId"),
            },
        ),
        "allowOverwrite": Arg(type=bool, default=False, stored=False),
        "cidrRoutingPolicy": Arg(fields={"collectionId": Arg(required=True), "locationName": Arg(required=True)}),
        "failoverRoutingPolicies": Arg(
            many=True, fields={"type": Arg(required=True, choices=("PRIMARY", "SECONDARY"))}
        ),
        "geolocationRoutingPolicies": Arg(
            many=True,
            fields={
                "continent": Arg(api="ContinentCode"),
                "country": Arg(api="CountryCode"),
                "subdivision": Arg(api="SubdivisionCode"),
            },
        ),
        "geoproximityRoutingPolicy": Arg(
            fields={
                "awsRegion": Arg(api="AWSRegion"),
                "bias": Arg(type=int, low=-99, high=99),
                "coordinates": Arg(many=True, fields=_COORDINATE),
                "localZoneGroup": Arg(),
            }
        ),
        "healthCheckId": Arg(),
        "latencyRoutingPolicies": Arg(many=True, fields={"region": Arg(required=True)}),
        "multivalueAnswerRoutingPolicy": Arg(type=bool),
        "name": Arg(required=True, replace=True),
        "records": Arg(many=True),
        "setIdentifier": Arg(replace=True),
        "ttl": Arg(type=int, low=0),
        "type": Arg(
            required=True,
            replace=True,
            choices=TYPES,
        ),
        "weightedRoutingPolicies": Arg(many=True, fields={"weight": Arg(type=int, required=True)}),
        "zoneId": Arg(required=True, replace=True),
    }
    _alias: Final[Schema] = schema["aliases"].fields or {}
    _place: Final[Schema] = schema["geolocationRoutingPolicies"].fields or {}

    def deletes_first(self, old: Properties, new: Properties) -> bool:
        return all(old.get(key) == new.get(key) for key in ("name", "zoneId", "type", "setIdentifier"))

    def validate(self, inputs: Properties) -> None:
        if ("records" in inputs) == ("aliases" in inputs):
            raise CheckFailure("records", "exactly one of records and aliases is wanted")
        if "records" in inputs and "ttl" not in inputs:
            raise CheckFailure("ttl", "required with records")
        if any(key in inputs for key in _POLICIES) and "setIdentifier" not in inputs:
            raise CheckFailure("setIdentifier", "required with a routing policy")

    def _fqdn(self, api: Any, inputs: Properties) -> str:
        """A name without its zone is completed by it."""
        zone = api.get_hosted_zone(Id=inputs["zoneId"])["HostedZone"]["Name"].rstrip(".")
        name = inputs["name"].rstrip(".").lower()
        if not name:
            return str(zone)
        return name if name == zone or name.endswith("." + zone) else f"{name}.{zone}"

    def _set(self, api: Any, inputs: Properties) -> dict[str, Any]:
        result: dict[str, Any] = {"Name": self._fqdn(api, inputs), "Type": inputs["type"]}
        if "aliases" in inputs:
            result["AliasTarget"] = to_api(self._alias, inputs["aliases"][0])
        else:
            quote = inputs["type"] in ("TXT", "SPF")
            values = [f'"{value}"' if quote and not value.startswith('"') else value for value in inputs["records"]]
            result |= {"TTL": inputs["ttl"], "ResourceRecords": [{"Value": value} for value in values]}
        plain = ("setIdentifier", "healthCheckId")
        result |= to_api({key: self.schema[key] for key in plain}, inputs)
        result |= {
            key: value
            for key, value in {
                "Weight": _first(inputs.get("weightedRoutingPolicies")).get("weight"),
                "Region": _first(inputs.get("latencyRoutingPolicies")).get("region"),
                "Failover": _first(inputs.get("failoverRoutingPolicies")).get("type"),
                "GeoLocation": to_api(self._place, _first(inputs.get("geolocationRoutingPolicies"))) or None,
                "MultiValueAnswer": inputs.get("multivalueAnswerRoutingPolicy"),
                "CidrRoutingConfig": to_api(self.schema["cidrRoutingPolicy"].fields or {}, inputs["cidrRoutingPolicy"])
                if "cidrRoutingPolicy" in inputs
                else None,
                "GeoProximityLocation": self._near(inputs.get("geoproximityRoutingPolicy")),
            }.items()
            if value is not None
        }
        return result

    def _near(self, policy: Properties | None) -> dict[str, Any] | None:
        if policy is None:
            return None
        request = to_api(self.schema["geoproximityRoutingPolicy"].fields or {}, policy)
        if "Coordinates" in request:
            request["Coordinates"] = request["Coordinates"][0]
        return request

    def _change(self, api: Any, inputs: Properties, action: str) -> None:
        batch = {"Changes": [{"Action": action, "ResourceRecordSet": self._set(api, inputs)}]}
        api.change_resource_record_sets(HostedZoneId=inputs["zoneId"], ChangeBatch=batch)

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        self._change(api, inputs, "UPSERT" if inputs["allowOverwrite"] else "CREATE")
        zone = inputs["zoneId"].rpartition("/")[2]
        parts = [zone, inputs["name"].lower(), inputs["type"], inputs.get("setIdentifier")]
        return "_".join(part for part in parts if part)

    def _found(self, api: Any, id: str) -> tuple[str, str, dict[str, Any] | None]:
        zone, _, rest = id.partition("_")
        name, kind, label = next(
            (rest[:at], part, rest[at + len(part) + 2 :])
            for part in sorted(TYPES, key=len, reverse=True)
            if (at := rest.find(f"_{part}")) >= 0 and rest[at + len(part) + 1 : at + len(part) + 2] in ("", "_")
        )
        fqdn = self._fqdn(api, {"zoneId": zone, "name": name})
        pages = api.get_paginator("list_resource_record_sets").paginate(
            HostedZoneId=zone, StartRecordName=fqdn, StartRecordType=kind
        )
        for page in pages:
            for item in page["ResourceRecordSets"]:
                # The API writes a star as an octal escape.
                live = item["Name"].replace("\\052", "*").rstrip(".")
                if live == fqdn and item["Type"] == kind and item.get("SetIdentifier", "") == label:
                    return zone, name, item
        return zone, name, None

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        zone, name, item = self._found(api, id)
        if item is None:
            return None
        records = [_unquoted(record["Value"], item["Type"]) for record in item.get("ResourceRecords") or []]
        live: Properties = {
            **from_api({key: self.schema[key] for key in ("setIdentifier", "healthCheckId", "type")}, item),
            "name": inputs.get("name", name),
            "zoneId": inputs.get("zoneId", zone),
            "ttl": item.get("TTL"),
            "fqdn": item["Name"].replace("\\052", "*").rstrip("."),
            "records": records or None,
            "multivalueAnswerRoutingPolicy": item.get("MultiValueAnswer"),
        }
        if "AliasTarget" in item:
            alias = from_api(self._alias, item["AliasTarget"])
            alias["name"] = _as_wanted(alias["name"], _first(inputs.get("aliases")).get("name"))
            live["aliases"] = [alias]
        for ours, member, theirs in (
            ("weightedRoutingPolicies", "weight", "Weight"),
            ("latencyRoutingPolicies", "region", "Region"),
            ("failoverRoutingPolicies", "type", "Failover"),
        ):
            if theirs in item:
                live[ours] = [{member: item[theirs]}]
        if place := item.get("GeoLocation"):
            live["geolocationRoutingPolicies"] = [from_api(self._place, place)]
        if cidr := item.get("CidrRoutingConfig"):
            live["cidrRoutingPolicy"] = from_api(self.schema["cidrRoutingPolicy"].fields or {}, cidr)
        if near := item.get("GeoProximityLocation"):
            point = {"Coordinates": [near["Coordinates"]]} if "Coordinates" in near else {}
            live["geoproximityRoutingPolicy"] = from_api(
                self.schema["geoproximityRoutingPolicy"].fields or {}, {**near, **point}
            )
        return live

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        self._change(api, new, "UPSERT")

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        zone, _, item = self._found(api, id)
        if item is not None:
            batch = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": item}]}
            api.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def _unquoted(value: str, kind: str) -> str:
    return value[1:-1] if kind in ("TXT", "SPF") and value[:1] == value[-1:] == '"' else value


def _as_wanted(live: str, wanted: Any) -> str:
    """The API answers in lower case and with a final dot."""
    plain = live.rstrip(".").lower()
    return wanted if isinstance(wanted, str) and wanted.rstrip(".").lower() == plain else plain
