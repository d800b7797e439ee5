"""Keep of the provider's 260 service packages and their clients what hueshift's types need: trim.py FOLDER."""

import re
import sys
from pathlib import Path

PACKAGES = [
    *("acm", "appconfig", "cloudwatch", "ec2", "ecr", "eks", "elbv2", "events", "iam", "kms", "logs", "meta"),
    *("route53", "s3", "secretsmanager", "sfn", "sns", "sts", "wafv2"),
]
CLIENTS = [
    *("ACM", "Account", "AppConfig", "CloudFormation", "CloudFront", "CloudFrontKeyValueStore", "CloudWatch", "EC2"),
    *("ECR", "ECRPublic", "EKS", "ELBV2", "Events", "IAM", "KMS", "Logs", "Organizations", "Route53", "Route53Domains"),
    *("S3", "S3Control", "S3Express", "SFN", "SNS", "SQS", "STS", "SecretsManager", "WAFV2"),
]
"""Those of the packages, and those that what all packages share asks for."""


def only(pattern: str, names: list[str], text: str, flags: re.RegexFlag = re.NOFLAG) -> str:
    """Remove each match of which the first group is none of the names."""
    return re.sub(pattern, lambda found: found[0] if found[1] in names else "", text, flags=flags)


def main(internal: Path) -> None:
    """Trim the two generated files that name every package."""
    file = internal / "provider/sdkv2/service_packages_gen.go"
    text = only(r'\t"github.com/hashicorp/terraform-provider-aws/internal/service/(\w+)"\n', PACKAGES, file.read_text())
    file.write_text(only(r"\t\t(\w+)\.ServicePackage\(ctx\),\n", PACKAGES, text))

    file = internal / "conns/awsclient_gen.go"
    client = r"func \(c \*AWSClient\) (\w+)Client\(ctx context\.Context\) [^{]*\{\n.*?\n\}\n\n?"
    text = only(client, CLIENTS, file.read_text(), re.DOTALL)
    used = re.findall(r"\*(\w+)\.Client", text)
    file.write_text(only(r'\t"github.com/aws/aws-sdk-go-v2/service/(\w+)"\n', used, text))


main(Path(sys.argv[1]) / "internal")
