"""Images: the repository that keeps them for all environments, and the build of one where a stack may build."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
from pulumi_aws import ecr

from components.context.context import ServiceContext
from components.spec import Build

RELEASES_KEPT: Final = 500
"""Images with a version for a tag, which `hueshift image record` gives to what a stack has run.

The policy knows nothing of pods, so the number alone must outlast both colors of every environment and the five
releases before them: at ten releases a day it is seven weeks.
"""

BUILDS_KEPT: Final = 100
"""Images with no other tag than a commit, which a build is pushed with: never released, or not yet."""

UNTAGGED_DAYS: Final = 14
"""Tags cannot move, so nothing that was ever named loses its name: what has none was pushed only in part."""


@dataclass(frozen=True, kw_only=True)
class ImageRepositoryArgs:
    """All plain: names decide what exists."""

    context: ServiceContext
    reader_accounts: Sequence[str]
    """Other AWS accounts that pull, such as production's."""


class ImageRepository(pulumi.ComponentResource):
    """The one repository of a service, from which every environment pulls by digest.

    Tags are immutable and pushes are scanned. An image that matches the tag pattern of a rule is safe from every rule
    after it (ECR guide, lifecycle policies), so commits come and go while versions stay.
    """

    url: pulumi.Output[str]

    def __init__(self, name: str, args: ImageRepositoryArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:image:ImageRepository", name, None, opts)
        # A destroy must leave the images that others run.
        keep = args.context.production or bool(args.reader_accounts)
        repository = ecr.Repository(
            f"{name}-images",
            name=args.context.service,
            image_tag_mutability="IMMUTABLE",
            image_scanning_configuration={"scan_on_push": True},
            force_delete=not keep,
            tags=args.context.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=keep or None),
        )
        ecr.LifecyclePolicy(
            f"{name}-retention",
            repository=repository.name,
            policy=pulumi.Output.json_dumps({"rules": _retention()}),
            opts=pulumi.ResourceOptions(parent=self),
        )
        if args.reader_accounts:
            ecr.RepositoryPolicy(
                f"{name}-readers",
                repository=repository.name,
                policy=pulumi.Output.json_dumps(_readers(args.reader_accounts)),
                opts=pulumi.ResourceOptions(parent=self),
            )
        self.url = repository.repository_url
        self.register_outputs({"url": self.url})


def _retention() -> list[dict[str, object]]:
    """Return the rules in the order of their priority; out of it, each preview would show a change."""

    def expire(priority: int, description: str, **selection: object) -> dict[str, object]:
        return {
            "rulePriority": priority,
            "description": description,
            "selection": selection,
            "action": {"type": "expire"},
        }

    return [
        expire(
            1,
            f"releases: the newest {RELEASES_KEPT}",
            tagStatus="tagged",
            tagPatternList=["*.*.*"],
            countType="imageCountMoreThan",
            countNumber=RELEASES_KEPT,
        ),
        expire(
            2,
            f"builds: the newest {BUILDS_KEPT}",
            tagStatus="tagged",
            tagPatternList=["*"],
            countType="imageCountMoreThan",
            countNumber=BUILDS_KEPT,
        ),
        expire(
            3,
            f"pushed in part: {UNTAGGED_DAYS} days",
            tagStatus="untagged",
            countType="sinceImagePushed",
            countUnit="days",
            countNumber=UNTAGGED_DAYS,
        ),
    ]


def _readers(accounts: Sequence[str]) -> dict[str, object]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Pull",
                "Effect": "Allow",
                "Principal": {"AWS": [f"arn:aws:iam::{account}:root" for account in sorted(accounts)]},
                "Action": [
                    "ecr:BatchCheckLayerAvailability",
                    "ecr:BatchGetImage",
                    "ecr:DescribeImages",
                    "ecr:GetDownloadUrlForLayer",
                ],
            }
        ],
    }


@dataclass(frozen=True, kw_only=True)
class ImageArgs:
    """The repository is an Input; the rest is plain, configuration decides it."""

    build: Build
    version: str
    """Becomes the tag, and the build argument ``VERSION``."""
    repository_url: pulumi.Input[str]


class Image(pulumi.ComponentResource):
    """An image built by an update, never by a preview, from a folder beside the program, and pushed once.

    A folder that has not changed is not built again. One that has needs another version: tags are immutable, and the
    push of another content is refused by the registry.
    """

    reference: pulumi.Output[str]
    """By digest; unknown in the preview of a build."""

    def __init__(self, name: str, args: ImageArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("hueshift:image:Image", name, None, opts)
        from pulumi_docker import Image as DockerImage  # slow to import, and few stacks build

        registry = ecr.get_authorization_token_output()
        image = DockerImage(
            f"{name}-image",
            image_name=pulumi.Output.concat(args.repository_url, ":", args.version),
            build={
                "context": args.build.context,
                "dockerfile": f"{args.build.context}/{args.build.dockerfile}",
                "args": {**args.build.args, "VERSION": args.version},
                "platform": args.build.platform,
            },
            build_on_preview=False,
            registry={
                "server": registry.proxy_endpoint,
                "username": registry.user_name,
                "password": pulumi.Output.secret(registry.password),
            },
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.reference = image.repo_digest
        self.register_outputs({"reference": self.reference})
