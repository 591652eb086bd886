#!/usr/bin/env bash
# The steps of a pipeline that deploys the function's stack without cloudformation_deploy.sh.
# BUCKET=my-zips [STACK=ecs-task-recycle] [INPUT=input.json] examples/pipeline.sh [PARAMETER=VALUE...]
set -euo pipefail
cd "$(CDPATH='' cd -- "$(dirname "${BASH_SOURCE[0]}")/.." >/dev/null && pwd)"

# Build. The line "needs the zip in the bucket as KEY" ends with the key.
built="$(./lambda_build.sh --input "${INPUT:-input.json}" --template dist/template.yaml)"
echo "$built"
key="$(sed -n 's/.* needs the zip in the bucket as //p' <<<"$built")"

# Upload: a new version has a new key, so nothing that is deployed is overwritten.
aws s3api put-object --bucket "$BUCKET" --key "$key" --body dist/ecs-task-recycle.zip >/dev/null

# Make a change set. A pipeline with a review ends here, and prints it for the reviewer.
said="$(aws cloudformation deploy --stack-name "${STACK:-ecs-task-recycle}" \
    --template-file dist/template.yaml --s3-bucket "$BUCKET" --capabilities CAPABILITY_IAM \
    --no-execute-changeset --no-fail-on-empty-changeset \
    --parameter-overrides "CodeBucket=$BUCKET" "CodeKey=" "$@")"
echo "$said"
change_set="$(grep -o 'arn:[^ ]*:changeSet/[^ ]*' <<<"$said" || true)"
[ -n "$change_set" ] || exit 0

# Carry it out. The waiter of a new stack is stack-create-complete.
kind="$(aws cloudformation describe-stacks --stack-name "${STACK:-ecs-task-recycle}" \
    --query 'Stacks[0].StackStatus' --output text)"
aws cloudformation execute-change-set --change-set-name "$change_set"
case "$kind" in
    REVIEW_IN_PROGRESS) waiter=stack-create-complete ;;
    *) waiter=stack-update-complete ;;
esac
aws cloudformation wait "$waiter" --stack-name "${STACK:-ecs-task-recycle}"
