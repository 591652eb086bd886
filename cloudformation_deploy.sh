#!/usr/bin/env bash
# Builds the function and deploys it with template.yaml. Needs bash, the AWS CLI (version 1 or 2)
# and what lambda_build.sh needs.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
stack="ecs-task-recycle"
region=""
profile=""
bucket=""
delete=""
overrides=()

usage() {
    cat <<USAGE
Usage: ./cloudformation_deploy.sh [OPTION...] [PARAMETER=VALUE...]
       ./cloudformation_deploy.sh --delete [OPTION...]

Builds the function's zip, puts it into a private bucket, and creates or updates a CloudFormation
stack. A parameter that is not given keeps the value that it had, at first the template's default;
template.yaml describes them. Running it again with nothing changed changes nothing.

  --stack-name NAME   the stack (default: $stack)
  --region REGION     the region (default: that of the AWS CLI)
  --profile PROFILE   a profile of the AWS CLI
  --bucket BUCKET     a bucket of yours for the zip (default: one is created, once per region,
                      as ecs-task-recycle-ACCOUNT-REGION)
  --delete            delete the stack and what belongs to it
  --help              this text

./cloudformation_deploy.sh ClusterNames=production,staging
./cloudformation_deploy.sh 'ScheduleExpression=cron(0 3 ? * SUN *)' \\
    ScheduledClusterName=production ScheduledServiceName=web
USAGE
}

say() {
    echo "cloudformation_deploy.sh: $1"
}

fail() {
    say "$1" >&2
    exit 1
}

read_options() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --stack-name | --region | --profile | --bucket)
                [ $# -ge 2 ] && [ -n "$2" ] || fail "$1 needs a value after it."
                set_option "$1" "$2"
                shift 2
                ;;
            --stack-name=?* | --region=?* | --profile=?* | --bucket=?*)
                set_option "${1%%=*}" "${1#*=}"
                shift
                ;;
            --parameter-overrides) # As in the AWS CLI; here the word may as well be left out.
                shift
                ;;
            --delete)
                delete="yes"
                shift
                ;;
            --help | -h)
                usage
                exit 0
                ;;
            [A-Za-z]*=*)
                overrides+=("$1")
                shift
                ;;
            *)
                fail "$1 is not an option of mine; --help lists them."
                ;;
        esac
    done
}

set_option() {
    case "$1" in
        --stack-name) stack="$2" ;;
        --region) region="$2" ;;
        --profile) profile="$2" ;;
        --bucket) bucket="$2" ;;
    esac
}

# The AWS CLI as it was asked for, and never waiting for a key to be pressed.
cli() {
    AWS_PAGER="" command aws ${profile:+--profile "$profile"} ${region:+--region "$region"} "$@"
}

# The AWS CLI passes over names that the template does not have: a misspelt limit would be none.
require_parameters() {
    local known override
    known="$(sed -n '/^Parameters:/,/^[A-Z]/s/^  \([A-Za-z]*\):.*/\1/p' "$here/template.yaml")"
    for override in ${overrides[@]+"${overrides[@]}"}; do
        grep -qx "${override%%=*}" <<<"$known" ||
            fail "${override%%=*} is not a parameter; they are: ${known//$'\n'/ }."
    done
}

require_account() {
    command -v aws >/dev/null || fail "the AWS CLI is needed, and there is none on the PATH."
    region="${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-$(cli configure get region || true)}}}"
    [ -n "$region" ] || fail "no region is configured; name one with --region."
    account="$(cli sts get-caller-identity --query Account --output text)" ||
        fail "AWS does not know who is calling; see above, and try: aws sts get-caller-identity."
}

stack_status() {
    local answer
    if answer="$(cli cloudformation describe-stacks --stack-name "$stack" \
        --query 'Stacks[0].StackStatus' --output text 2>&1)"; then
        echo "$answer"
    elif [[ "$answer" == *"does not exist"* ]]; then
        echo "NONE"
    else
        echo "$answer" >&2
        return 1
    fi
}

# The stack's last failures, the newest first: the cause stands among them.
show_failures() {
    # shellcheck disable=SC2016 # the backticks are the query's
    cli cloudformation describe-stack-events --stack-name "$stack" --output text --query \
        'StackEvents[?ends_with(ResourceStatus, `FAILED`)] | [:10].[LogicalResourceId, ResourceStatusReason]' \
        >&2 || true
}

require_bucket() {
    local policy error
    if [ -n "$bucket" ]; then
        return
    fi
    bucket="ecs-task-recycle-$account-$region"
    # Somebody else may have taken the name in order to be sent our code: hence the owner.
    if ! error="$(cli s3api head-bucket --bucket "$bucket" --expected-bucket-owner "$account" 2>&1)"; then
        [[ "$error" == *404* || "$error" == *NoSuchBucket* ]] ||
            fail "the bucket $bucket is not usable by account $account: ${error##*$'\n'}"
        create_bucket
    fi
    # Written last, so a bucket that has it is complete.
    policy="$(cli s3api get-bucket-policy --bucket "$bucket" --expected-bucket-owner "$account" \
        --query Policy --output text 2>/dev/null || true)"
    [[ "$policy" == *aws:SecureTransport* ]] || secure_bucket
}

create_bucket() {
    local place=(--create-bucket-configuration "LocationConstraint=$region")
    # The one region that must not be named.
    [ "$region" != us-east-1 ] || place=(--object-ownership BucketOwnerEnforced) # the default
    cli s3api create-bucket --bucket "$bucket" "${place[@]}" >/dev/null ||
        fail "the bucket $bucket could not be created; see above. --bucket takes one of yours."
    say "created the bucket $bucket"
}

secure_bucket() {
    local caller partition arn
    caller="$(cli sts get-caller-identity --query Arn --output text)" ||
        fail "AWS does not know any more who is calling; see above. Run this again."
    partition="${caller#arn:}"
    arn="arn:${partition%%:*}:s3:::$bucket"
    {
        cli s3api put-public-access-block --bucket "$bucket" --expected-bucket-owner "$account" \
            --public-access-block-configuration \
            "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true" &&
            cli s3api put-bucket-encryption --bucket "$bucket" --expected-bucket-owner "$account" \
                --server-side-encryption-configuration \
                '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}' &&
            cli s3api put-bucket-policy --bucket "$bucket" --expected-bucket-owner "$account" \
                --policy '{"Version":"2012-10-17","Statement":[{"Sid":"OnlyOverTls","Effect":"Deny",
                "Principal":"*","Action":"s3:*","Resource":["'"$arn"'","'"$arn"'/*"],
                "Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}'
    } || fail "the bucket $bucket could not be made private; see above. Run this again."
    say "made the bucket $bucket private, encrypted and reachable over TLS alone"
}

deploy() {
    local before workshop said status
    before="$(stack_status)" || fail "the stack $stack cannot be read; see above."
    [ "$before" != ROLLBACK_COMPLETE ] ||
        fail "the stack $stack was never created completely; delete it with --delete, then deploy again."
    "$here/lambda_build.sh" || fail "the zip was not built, and nothing was deployed; see above."
    require_bucket
    workshop="$(mktemp -d)" || fail "there is no folder for temporary files."
    # shellcheck disable=SC2064 # the folder as it is named now
    trap "rm -rf '$workshop'" EXIT
    cli cloudformation package --template-file "$here/template.yaml" --s3-bucket "$bucket" \
        --s3-prefix "$stack" --output-template-file "$workshop/packaged.yaml" >/dev/null ||
        fail "the zip could not be put into the bucket $bucket, and nothing was deployed; see above."
    status=0
    said="$(cli cloudformation deploy --template-file "$workshop/packaged.yaml" \
        --s3-bucket "$bucket" --s3-prefix "$stack" \
        --stack-name "$stack" --capabilities CAPABILITY_IAM --no-fail-on-empty-changeset \
        ${overrides[@]+--parameter-overrides "${overrides[@]}"})" || status=$?
    if [ "$status" -ne 0 ]; then
        echo "$said" >&2
        show_failures
        fail "the stack $stack was not deployed; see above."
    fi
    case "$said" in
        *"No changes to deploy"*) say "nothing has changed in the stack $stack" ;;
        *) say "the stack $stack is deployed in $region" ;;
    esac
    cli cloudformation describe-stacks --stack-name "$stack" --output text \
        --query 'Stacks[0].Outputs[].[OutputKey, OutputValue]' ||
        fail "the outputs of the stack $stack cannot be read; see above."
}

delete_stack() {
    local status
    status="$(stack_status)" || fail "the stack $stack cannot be read; see above."
    if [ "$status" = NONE ]; then
        say "there is no stack $stack in $region"
        return
    fi
    cli cloudformation delete-stack --stack-name "$stack" ||
        fail "the stack $stack could not be deleted; see above."
    if ! cli cloudformation wait stack-delete-complete --stack-name "$stack"; then
        show_failures
        fail "the stack $stack was not deleted; see above."
    fi
    say "the stack $stack is deleted; the bucket with its zips stays"
}

read_options "$@"
[ -z "$delete" ] || [ ${#overrides[@]} -eq 0 ] || fail "--delete takes no parameters."
require_parameters
require_account
if [ -n "$delete" ]; then
    delete_stack
else
    deploy
fi
