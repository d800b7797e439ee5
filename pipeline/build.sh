#!/usr/bin/env bash
# build.sh SERVICE
# Builds and pushes the image of the commit, once: whoever asks again, or at a commit that changes nothing of it, gets
# what is in the registry. Prints
#   image=REPOSITORY@sha256:DIGEST, and its parts
#   repository=REPOSITORY
#   digest=sha256:DIGEST
#   version=MAJOR.MINOR.N    VERSION, and how many commits have changed what the image is made of
#   schema=REVISION          the newest of migrations/versions; empty where there are none
#
# SOURCE      the folder with Dockerfile, VERSION and, if it has any, migrations; unset, app
# REGISTRY    where to push to, such as 111122223333.dkr.ecr.eu-west-1.amazonaws.com, or a part of it, such as …/review
# BUILD_ARGS  further arguments of docker build
set -euo pipefail
# shellcheck source=lib/steps.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib/steps.sh"
takes 1 1 "$@"

repository=${REGISTRY:?is not set; name the registry, such as 111122223333.dkr.ecr.eu-west-1.amazonaws.com}/$1
source=${SOURCE:-app}
made_of=("$source" constraints.txt .dockerignore)
commit=$(git rev-list --max-count=1 HEAD -- "${made_of[@]}")
image=$repository:$commit
read -ra arguments <<<"${BUILD_ARGS:-}"

[ "$(git rev-parse --is-shallow-repository)" = false ] ||
  fail "the version counts commits, and this clone lacks the older ones; fetch them: git fetch --unshallow"
changed=$(git status --porcelain -- "${made_of[@]}")
[ -z "$changed" ] || fail "the image carries the name of the commit, and these files differ from it; commit them: $changed"
version=$(<"$source/VERSION").$(git rev-list --count HEAD -- "${made_of[@]}")
shopt -s nullglob
revisions=("$source"/migrations/versions/[0-9]*_*.*)
schema=
[ ${#revisions[@]} = 0 ] || schema=$(basename "${revisions[-1]%%_*}")

registry_login "$REGISTRY"

if answer=$(docker pull --quiet "$image" 2>&1); then
  say "$image is in the registry already"
elif [[ $answer =~ "not found"|"manifest unknown" ]]; then
  caches=()
  while read -r before; do caches+=("--cache-from=$repository:$before"); done < <(git rev-list --max-count=5 --skip=1 HEAD -- "${made_of[@]}")
  # An attestation of the builder would make the image an index, which ECR does not scan: those of the delivery and ECR's
  # own signature lie beside it.
  export DOCKER_BUILDKIT=1 BUILDX_NO_DEFAULT_ATTESTATIONS=1
  folded "docker build $image" docker build --tag="$image" --file="$source/Dockerfile" --build-arg="VERSION=$version" \
    --label="org.opencontainers.image.revision=$commit" --build-arg=BUILDKIT_INLINE_CACHE=1 "${caches[@]}" "${arguments[@]}" .
  folded "docker push $image" docker push "$image"
else
  fail "whether the registry has $image cannot be told: $answer"
fi

digest=$(docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' "$image" | grep "^$repository@") ||
  fail "the registry gave no digest for $image"
printf '%s\n' "image=$digest" "repository=$repository" "digest=${digest#*@}" "version=$version" "schema=$schema"
