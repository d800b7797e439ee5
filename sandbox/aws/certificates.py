"""ACM as it is beyond moto: a certificate is issued when its records are in Route 53, and is kept while it is used."""

from typing import Final

from moto.acm.models import AWSCertificateManagerBackend, CertBundle, acm_backends
from moto.core.exceptions import AWSError
from moto.elbv2.exceptions import ELBClientError
from moto.elbv2.models import elbv2_backends
from moto.route53.models import route53_backends

_PENDING: Final = "PENDING_VALIDATION"


class ResourceInUseError(AWSError):
    """A listener shows the certificate."""

    TYPE = "ResourceInUseException"


class Acm(AWSCertificateManagerBackend):
    """Issues a requested certificate as soon as every validation record exists in a public zone of the account."""

    __module__ = AWSCertificateManagerBackend.__module__

    def get_certificate(self, arn: str) -> CertBundle:
        """Return the certificate whatever its age; moto refuses it by age."""
        bundle = self._certificates.get(arn)
        if bundle is None or bundle.status != _PENDING:
            return super().get_certificate(arn)
        if _wanted(bundle) <= self._published():
            bundle.status = "ISSUED"
        return bundle

    def delete_certificate(self, arn: str) -> None:
        balancers = elbv2_backends[self.account_id][self.region_name].load_balancers.values()
        if any(arn in listener.certificates for balancer in balancers for listener in balancer.listeners.values()):
            raise ResourceInUseError(f"Certificate {arn} in account {self.account_id} is in use.")
        super().delete_certificate(arn)

    def _published(self) -> set[tuple[str, str]]:
        """Return names and values of all CNAMEs."""
        return {
            (_plain(record.name), _plain(value))
            for zone in route53_backends[self.account_id][self.partition].zones.values()
            if not zone.private_zone
            for record in zone.rrsets
            if record.type == "CNAME"
            for value in record.records
        }


def _wanted(bundle: CertBundle) -> set[tuple[str, str]]:
    options = bundle.describe()["Certificate"].get("DomainValidationOptions") or []
    records = [option["ResourceRecord"] for option in options]
    return {(_plain(record["Name"]), _plain(record["Value"])) for record in records}


def _plain(name: str) -> str:
    return name.rstrip(".").lower()


def refuse_unusable(account: str, region: str, arn: str) -> None:
    """Raise what ELBv2 answers of a certificate that is not there or not issued; not of one of IAM's."""
    if ":acm:" not in arn:
        return
    acm = acm_backends[account][region]
    if arn not in acm._certificates:  # noqa: SLF001 - moto has no other way to ask
        raise ELBClientError("CertificateNotFound", f"Certificate '{arn}' not found")
    if acm.get_certificate(arn).status != "ISSUED":
        raise ELBClientError(
            "UnsupportedCertificate",
            f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, "
            "and a supported key size.",
        )


def fill() -> None:
    """Put the subclass in moto's place."""
    acm_backends.backend = Acm
