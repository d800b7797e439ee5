"""Web ACLs beyond moto: one for each load balancer, and none deleted while it protects one."""

from moto.elbv2.models import elbv2_backends
from moto.wafv2.exceptions import WAFNonexistentItemException, WAFv2ClientError
from moto.wafv2.models import FakeWebACL, WAFV2Backend, wafv2_backends


class Waf(WAFV2Backend):
    """Knows which load balancers there are; what a web ACL decides about requests is not played."""

    __module__ = WAFV2Backend.__module__

    def associate_web_acl(self, web_acl_arn: str, resource_arn: str) -> None:
        """Replace an earlier association of the same load balancer."""
        if ":loadbalancer/" in resource_arn and not self._lives(resource_arn):
            raise WAFNonexistentItemException
        if web_acl_arn in self.wacls:
            self.disassociate_web_acl(resource_arn)
        super().associate_web_acl(web_acl_arn, resource_arn)

    def get_web_acl_for_resource(self, resource_arn: str) -> FakeWebACL | None:
        return super().get_web_acl_for_resource(resource_arn) if self._lives(resource_arn) else None

    def delete_web_acl(self, name: str, scope: str, _id: str, lock_token: str) -> None:
        acl = self.get_web_acl(None, name, _id)
        if any(map(self._lives, acl.associated_resources)):
            raise WAFv2ClientError(
                "WAFAssociatedItemException",
                "AWS WAF couldn't perform the operation because your resource is being used by another resource or "
                "it's associated with another resource.",
            )
        super().delete_web_acl(name, scope, _id, lock_token)

    def _lives(self, resource: str) -> bool:
        if ":loadbalancer/" not in resource:
            return True
        return resource in elbv2_backends[self.account_id][resource.split(":")[3]].load_balancers


def fill() -> None:
    """Put the subclass in moto's place."""
    wafv2_backends.backend = Waf
