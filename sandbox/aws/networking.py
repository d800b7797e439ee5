"""EC2 as the AWS Load Balancer Controller asks it: the node's instance, its interfaces by any address, and rules.

The controller finds the security group of a pod through the node's ``providerID``, the instance of that ID, and the
interface of it that has the pod's address; into that group it lets the load balancer's.
"""

from ipaddress import ip_network
from typing import Any, Final

from moto.ec2.exceptions import DependencyViolationError
from moto.ec2.models import EC2Backend
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ec2.models.subnets import Subnet

from sandbox import paths

_BY_ADDRESS: Final = {"addresses.private-ip-address", "private-ip-address"}
_filter_value, _equal = NetworkInterface.get_filter_value, SecurityGroupRule.__eq__


def seed_node(ec2: EC2Backend, vpc: str, subnet: Subnet) -> None:
    """Put the node into the account as an EKS node of a cluster with subnets for pods of their own.

    Its first interface is in the given subnet, its second in one of ``paths.POD_CIDR``, a further range of the VPC in
    the same zone, and lists every address of it: an interface's addresses are of its own subnet. (AWS keeps some
    addresses of a subnet for itself, and gives an interface 50 at most.)
    """
    ec2.associate_vpc_cidr_block(vpc, paths.POD_CIDR, False)
    pods = ec2.create_subnet(vpc, paths.POD_CIDR, availability_zone=subnet.availability_zone)
    tags = {f"kubernetes.io/cluster/{paths.CLUSTER}": "owned"}
    group = ec2.create_security_group(f"{paths.CLUSTER}-node", "The node and its pods", vpc, tags=tags)
    addresses = [str(one) for one in ip_network(paths.POD_CIDR).hosts()]
    listed = [{"PrivateIpAddress": one, "Primary": one == addresses[0]} for one in addresses]
    interfaces = [
        ec2.create_network_interface(subnet, paths.NODE_IP, None, [group.id], "node"),
        ec2.create_network_interface(pods, addresses[0], listed, [group.id], "pods"),
    ]
    reservation = ec2.run_instances(
        "ami-00000000",
        1,
        None,
        [],
        instance_type="m5.large",
        is_instance_type_default=False,
        region_name=paths.REGION,
        nics=[{"DeviceIndex": index, "NetworkInterfaceId": one.id} for index, one in enumerate(interfaces)],
        block_device_mappings=[],
    )
    reservation.instances[0].id = paths.INSTANCE_ID


def refuse_used(ec2: EC2Backend, group: str) -> None:
    """Raise what EC2 answers of a security group that an interface has or that a rule of another group names."""
    others = [other for groups in ec2.groups.values() for other in groups.values() if other.id != group]
    named = (
        rule.source_group.get("GroupId") for other in others for rule in [*other.ingress_rules, *other.egress_rules]
    )
    worn = (one.id for interface in ec2.enis.values() for one in interface.group_set)
    if group in {*named, *worn}:
        raise DependencyViolationError(f"resource {group} has a dependent object")


def _value(self: NetworkInterface, filter_name: str, method_name: str | None = None) -> Any:  # noqa: ANN401
    """Return any of its addresses, of which moto looks at the first."""
    if filter_name in _BY_ADDRESS:
        return [one["PrivateIpAddress"] for one in self.private_ip_addresses]
    return _filter_value(self, filter_name, method_name)


class _Undescribed:
    """A rule as EC2 compares it."""

    def __init__(self, rule: SecurityGroupRule) -> None:
        self.__dict__.update(vars(rule))
        self.source_group = {key: value for key, value in rule.source_group.items() if key != "Description"}


def _same(self: SecurityGroupRule, other: SecurityGroupRule) -> bool:
    """Compare rules by what they open, without their description."""
    return _equal(_Undescribed(self), _Undescribed(other))  # type: ignore[arg-type]


def fill() -> None:
    """Put the two functions in the place of moto's."""
    NetworkInterface.get_filter_value = _value  # type: ignore[method-assign]
    SecurityGroupRule.__eq__ = _same  # type: ignore[method-assign]
