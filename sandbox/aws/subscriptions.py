"""SNS subscriptions of people: nobody is written to here, so they stay as on AWS before the first mail is answered."""

from typing import Final

from moto.sns.exceptions import SNSInvalidParameter
from moto.sns.models import SNSBackend, Subscription, sns_backends

_ASKED: Final = frozenset({"email", "email-json"})


class Sns(SNSBackend):
    """Only what asks a person is pending; web addresses and queues count as confirmed."""

    __module__ = SNSBackend.__module__

    def subscribe(self, topic_arn: str, endpoint: str, protocol: str) -> Subscription:
        made = super().subscribe(topic_arn, endpoint, protocol)
        if protocol in _ASKED:
            made.attributes |= {"PendingConfirmation": True, "ConfirmationWasAuthenticated": False}
        return made

    def unsubscribe(self, subscription_arn: str) -> None:
        found = self.subscriptions.get(subscription_arn)
        if found and found.attributes["PendingConfirmation"]:
            raise SNSInvalidParameter(
                "Invalid parameter: SubscriptionArn Reason: "
                "Cannot unsubscribe a subscription that is pending confirmation"
            )
        super().unsubscribe(subscription_arn)


def fill() -> None:
    """Put the subclass in moto's place."""
    sns_backends.backend = Sns
