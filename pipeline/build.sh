#!/usr/bin/env bash
# build.sh SERVICE
# Builds and pushes the image of the commit, once: whoever asks again, or at a commit that changes nothing of it, gets
# what is in the registry. Prints
#   image=REPOSITORY@sha256:DIGEST, and its parts
#   repository=REPOSITORY
#   digest=sha256:DIGEST
#   version=MAJOR.MINOR.N    app/VERSION, and how many commits have changed what the image is made of
#   schema=REVISION          the newest in app/migrations
#
# REGISTRY    where to push to, such as 111122223333.dkr.ecr.eu-west-1.amazonaws.com, or a part of it, such as …/review
# BUILD_ARGS  further arguments of docker build
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

repository=${REGISTRY:?is not set; name the registry, such as 111122223333.dkr.ecr.eu-west-1.amazonaws.com}/$1
made_of=(app constraints.txt .dockerignore)
commit=$(git rev-list --max-count=1 HEAD -- "${made_of[@]}")
image=$repository:$commit
read -ra arguments <<<"${BUILD_ARGS:-}"

[ "$(git rev-parse --is-shallow-repository)" = false ] ||
  fail "the version counts commits, and this clone lacks the older ones; fetch them: git fetch --unshallow"
changed=$(git status --porcelain -- "${made_of[@]}")
[ -z "$changed" ] || fail "the image carries the name of the commit, and these files differ from it; commit them: $changed"
version=$(<app/VERSION).$(git rev-list --count HEAD -- "${made_of[@]}")
revisions=(app/migrations/versions/[0-9]*_*.py)
schema=$(basename "${revisions[-1]%%_*}")

registry_login "$REGISTRY"

if answer=$(docker pull --quiet "$image" 2>&1); then
  say "$image is in the registry already"
elif [[ $answer =~ "not found"|"manifest unknown" ]]; then
  caches=()
  while read -r before; do caches+=("--cache-from=$repository:$before"); done < <(git rev-list --max-count=5 --skip=1 HEAD -- "${made_of[@]}")
  # An attestation of the builder would make the image an index, which ECR does not scan: those of the delivery and ECR's
  # own signature lie beside it.
  export DOCKER_BUILDKIT=1 BUILDX_NO_DEFAULT_ATTESTATIONS=1
  folded "docker build $image" docker build --tag="$image" --file=app/Dockerfile --build-arg="VERSION=$version" \
    --label="org.opencontainers.image.revision=$commit" --build-arg=BUILDKIT_INLINE_CACHE=1 "${caches[@]}" "${arguments[@]}" .
  folded "docker push $image" docker push "$image"
else
  fail "whether the registry has $image cannot be told: $answer"
fi

digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" | grep "^$repository@") ||
  fail "the registry gave no digest for $image"
printf '%s\n' "image=$digest" "repository=$repository" "digest=${digest#*@}" "version=$version" "schema=$schema"
