"""Certificates and the wait until they are issued."""
# ruff: noqa: A002, ANN401, ARG002 - the contract fixes names and arguments; boto3's clients are untyped here

import time
from typing import Any

from sandbox.providers.aws.base import PATIENCE, TAGS, AwsResource, changed, retry, tag_list, tag_map
from sandbox.providers.aws.schema import Arg, from_api, to_api
from sandbox.providers.plugin import CheckFailure, Properties, pause

MATERIAL = ("certificateBody", "certificateChain", "privateKey")


class Certificate(AwsResource):
    """``aws:acm/certificate:Certificate``, requested or imported; the ID is the ARN."""

    service = "acm"
    outputs = (
        "arn",
        "domainValidationOptions",
        "notAfter",
        "notBefore",
        "pendingRenewal",
        "renewalEligibility",
        "renewalSummaries",
        "status",
        "type",
        "validationEmails",
    )
    gone = ("ResourceNotFoundException",)
    schema = {
        "certificateAuthorityArn": Arg(replace=True),
        "certificateBody": Arg(stored=False),
        "certificateChain": Arg(stored=False),
        "domainName": Arg(computed=True, replace=True, low=1, high=253),
        "earlyRenewalDuration": Arg(stored=False),
        "keyAlgorithm": Arg(computed=True, replace=True),
        "options": Arg(
            computed=True,
            fields={
                "certificateTransparencyLoggingPreference": Arg(default="ENABLED", choices=("ENABLED", "DISABLED")),
                "export": Arg(computed=True, choices=("ENABLED", "DISABLED")),
            },
        ),
        "privateKey": Arg(stored=False),
        "subjectAlternativeNames": Arg(many=True, computed=True, replace=True),
        "tags": TAGS,
        "validationMethod": Arg(computed=True, replace=True, choices=("DNS", "EMAIL", "HTTP")),
        "validationOptions": Arg(
            many=True,
            replace=True,
            stored=False,
            key="domainName",
            fields={"domainName": Arg(required=True), "validationDomain": Arg(required=True)},
        ),
    }

    def validate(self, inputs: Properties) -> None:
        if ("domainName" in inputs) == ("privateKey" in inputs):
            raise CheckFailure("domainName", "exactly one of domainName and privateKey is wanted")
        if "privateKey" in inputs and "certificateBody" not in inputs:
            raise CheckFailure("certificateBody", "required with privateKey")

    def _import(self, api: Any, inputs: Properties, **more: Any) -> str:
        material = {
            theirs: inputs[ours].encode()
            for ours, theirs in zip(MATERIAL, ("Certificate", "CertificateChain", "PrivateKey"), strict=True)
            if inputs.get(ours)
        }
        return str(api.import_certificate(**material, **more)["CertificateArn"])

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        tags = {"Tags": tag_list(inputs["tagsAll"])} if inputs.get("tagsAll") else {}
        if "privateKey" in inputs:
            return self._import(api, inputs, **tags)
        names = ("certificateAuthorityArn", "domainName", "keyAlgorithm", "options", "subjectAlternativeNames")
        request = to_api({key: self.schema[key] for key in (*names, "validationMethod")}, inputs)
        if options := to_api({"validationOptions": self.schema["validationOptions"]}, inputs):
            request["DomainValidationOptions"] = options["ValidationOptions"]
        return str(api.request_certificate(**request, **tags)["CertificateArn"])

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        found = api.describe_certificate(CertificateArn=id)["Certificate"]
        names = ("certificateAuthorityArn", "domainName", "options")
        imported = found.get("Type") == "IMPORTED"
        validations = found.get("DomainValidationOptions") or []
        return {
            **from_api({key: self.schema[key] for key in names}, found),
            "keyAlgorithm": (found.get("KeyAlgorithm") or "").replace("-", "_") or None,
            # The API counts the domain itself among the alternatives.
            "subjectAlternativeNames": None if imported else _alternatives(found, inputs),
            "validationMethod": next((item.get("ValidationMethod") for item in validations), None),
            "arn": id,
            "domainValidationOptions": [
                {
                    "domainName": item["DomainName"],
                    "resourceRecordName": item["ResourceRecord"]["Name"],
                    "resourceRecordType": item["ResourceRecord"]["Type"],
                    "resourceRecordValue": item["ResourceRecord"]["Value"],
                }
                for item in sorted(validations, key=lambda item: _place(item["DomainName"], found, inputs))
                if item.get("ResourceRecord")
            ],
            "notAfter": _when(found.get("NotAfter")),
            "notBefore": _when(found.get("NotBefore")),
            "pendingRenewal": False,
            "renewalEligibility": found.get("RenewalEligibility"),
            "renewalSummaries": [],
            "status": found.get("Status"),
            "type": found.get("Type"),
            "validationEmails": [mail for item in validations for mail in item.get("ValidationEmails") or []],
            "tagsAll": tag_map(api.list_tags_for_certificate(CertificateArn=id)["Tags"]),
        }

    def change(self, api: Any, id: str, old: Properties, new: Properties) -> None:
        if changed(MATERIAL, old, new):
            self._import(api, new, CertificateArn=id)
        if changed(["options"], old, new) and new.get("options"):
            request = to_api({"options": self.schema["options"]}, new)
            api.update_certificate_options(CertificateArn=id, **request)

    def retag(self, api: Any, id: str, state: Properties, put: dict[str, str], drop: list[str]) -> None:
        if drop:
            api.remove_tags_from_certificate(CertificateArn=id, Tags=[{"Key": key} for key in drop])
        if put:
            api.add_tags_to_certificate(CertificateArn=id, Tags=tag_list(put))

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        patience = min(timeout, PATIENCE)
        retry(lambda: api.delete_certificate(CertificateArn=id), ["ResourceInUseException"], patience)


def _place(name: str, found: dict[str, Any], inputs: Properties) -> tuple[int, str]:
    """Where a domain stands in the program; the API's order means nothing."""
    names = [found["DomainName"], *(inputs.get("subjectAlternativeNames") or [])]
    return (names.index(name) if name in names else len(names), name)


def _alternatives(found: dict[str, Any], inputs: Properties) -> list[str]:
    wanted = inputs.get("subjectAlternativeNames") or []
    names = found.get("SubjectAlternativeNames") or []
    return [name for name in names if name != found["DomainName"] or name in wanted]


def _when(moment: Any) -> str | None:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


class CertificateValidation(AwsResource):
    """``aws:acm/certificateValidation:CertificateValidation``: no object, only the wait until it is issued."""

    service = "acm"
    outputs = ()
    gone = ("ResourceNotFoundException",)
    default_timeout = 75 * 60
    schema = {
        "certificateArn": Arg(required=True, replace=True),
        "validationRecordFqdns": Arg(many=True, replace=True, stored=False),
    }

    def make(self, api: Any, inputs: Properties, timeout: float) -> str:
        arn = inputs["certificateArn"]
        end = time.monotonic() + timeout
        while True:
            status = api.describe_certificate(CertificateArn=arn)["Certificate"]["Status"]
            if status == "ISSUED":
                return str(arn)
            if status != "PENDING_VALIDATION" or time.monotonic() >= end:
                raise TimeoutError(f"the certificate is {status}, wanted ISSUED: {arn}")
            pause(1)

    def describe(self, api: Any, id: str, inputs: Properties) -> Properties | None:
        status = api.describe_certificate(CertificateArn=id)["Certificate"]["Status"]
        return {"certificateArn": id} if status == "ISSUED" else None

    def remove(self, api: Any, id: str, state: Properties, timeout: float) -> None:
        """There is nothing to delete."""
