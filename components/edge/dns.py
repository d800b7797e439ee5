"""Names: certificates for the hosts of an environment, and the records that point them at its load balancer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import acm, route53

from components.context.context import Context
from components.edge.load_balancer import LoadBalancer

VALIDATION_TTL: Final = 60
"""Seconds; a wrong record is gone from resolvers in a minute, and ACM asks for it a few times a day at most."""

VALIDATION_TIMEOUT: Final = "15m"
"""ACM issues within minutes of the record's answer; one that nobody answers for, the zone's domain being delegated
elsewhere, would be waited for 75 minutes (terraform-provider-aws, ``aws_acm_certificate_validation``)."""


class ZoneError(pulumi.RunError, ValueError):
    """The hosted zone of the settings cannot be found."""


def hosted_zone(name: str) -> str:
    """Return the id of the public hosted zone with this name: a plain value, in a preview as well.

    Raises:
        ZoneError: there is none, or more than one, or Route 53 could not be asked.

    """
    try:
        return route53.get_zone(name=name, private_zone=False).zone_id
    except Exception as error:
        raise ZoneError(f"dns.zone {name}: {error}") from error


@dataclass(frozen=True, kw_only=True)
class CertificatesArgs:
    """Hosts are plain: they decide what exists."""

    zone_id: pulumi.Input[str]
    default_host: str
    """What the certificate is for that a client gets who names no host of ours: ``<environment>.<zone>``."""
    hosts: Collection[str]
    """Of the services. Each certificate covers the colors' hosts below it, too."""
    further_hosts: Collection[str] = ()
    """Of routes, which have nothing below them."""
    context: Context


class Certificates(pulumi.ComponentResource):
    """One certificate for each host, issued by ACM and proven through DNS, so that it renews by itself.

    One each, and named after it: a new service leaves the certificates of the others alone, and so does another name
    for the same service.
    """

    default_arn: pulumi.Output[str]
    arns: Mapping[str, pulumi.Output[str]]
    """By host of a service. Like the default one, an Output that waits until the certificate is issued."""

    def __init__(self, name: str, args: CertificatesArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:dns:Certificates", name, None, opts)
        self.arns = {host: self._issued(name, host, args, wildcard=True) for host in args.hosts} | {
            host: self._issued(name, host, args, wildcard=False) for host in args.further_hosts
        }
        # A second certificate for a service's own host would own the same record, and delete it on its way out.
        self.default_arn = (
            self.arns[args.default_host]
            if args.default_host in self.arns
            else self._issued(name, args.default_host, args, wildcard=False)
        )
        self.register_outputs({"default_arn": self.default_arn, "arns": self.arns})

    def _issued(self, name: str, host: str, args: CertificatesArgs, *, wildcard: bool) -> pulumi.Output[str]:
        child = pulumi.ResourceOptions(parent=self)
        certificate = acm.Certificate(
            f"{name}-{host}",
            domain_name=host,
            subject_alternative_names=[f"*.{host}"] if wildcard else None,
            validation_method="DNS",
            tags=args.context.tags,
            opts=child,
        )
        # ACM asks for one and the same record for a host and its wildcard (terraform-provider-aws#7918), hence any of
        # the options will do: their order means nothing.
        # An update that aims elsewhere makes no certificate, and then there are none.
        proof = certificate.domain_validation_options.apply(
            lambda options: options[0] if options else acm.outputs.CertificateDomainValidationOption()
        )
        record = route53.Record(
            f"{name}-{host}-proof",
            zone_id=args.zone_id,
            name=proof.resource_record_name,
            type=proof.resource_record_type,
            records=[proof.resource_record_value],
            ttl=VALIDATION_TTL,
            # It is the same for every certificate of an account for this host: one made earlier may have left it.
            allow_overwrite=True,
            opts=child,
        )
        return acm.CertificateValidation(
            f"{name}-{host}-issued",
            certificate_arn=certificate.arn,
            validation_record_fqdns=[record.fqdn],
            opts=pulumi.ResourceOptions(parent=self, custom_timeouts=pulumi.CustomTimeouts(create=VALIDATION_TIMEOUT)),
        ).certificate_arn


@dataclass(frozen=True, kw_only=True)
class AliasRecordsArgs:
    """Hosts are plain: they decide what exists."""

    zone_id: pulumi.Input[str]
    load_balancer: LoadBalancer
    hosts: Collection[str]
    """Every name that is to resolve, those of the colors included."""


class AliasRecords(pulumi.ComponentResource):
    """An alias record for each host, pointing at a load balancer; named after it, as a record set is its host."""

    fqdns: Mapping[str, pulumi.Output[str]]
    """By host."""

    def __init__(self, name: str, args: AliasRecordsArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:dns:AliasRecords", name, None, opts)
        self.fqdns = {
            host: route53.Record(
                f"{name}-{host}",
                zone_id=args.zone_id,
                name=host,
                type="A",
                aliases=[
                    {
                        "name": args.load_balancer.dns_name,
                        "zone_id": args.load_balancer.zone_id,
                        # There is no other record to answer with. And an empty target group, as a parked color has
                        # one, makes the whole load balancer count as unhealthy (Route 53 API, AliasTarget).
                        "evaluate_target_health": False,
                    }
                ],
                # No overwriting: a host that something else serves today is not taken over in passing. And not
                # before the load balancer has its listeners and the host's certificate.
                opts=pulumi.ResourceOptions(parent=self, depends_on=[args.load_balancer]),
            ).fqdn
            for host in args.hosts
        }
        self.register_outputs({"fqdns": self.fqdns})
