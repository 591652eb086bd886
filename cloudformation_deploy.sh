#!/usr/bin/env bash
# Builds the function and deploys it with template.yaml. Needs bash, the AWS CLI and what
# lambda_build.sh needs.
set -euo pipefail

# Called by a link, or with CDPATH set: this is the folder of the script itself.
script="${BASH_SOURCE[0]}"
while [ -L "$script" ]; do
    target="$(readlink "$script")"
    case "$target" in
        /*) script="$target" ;;
        *) script="$(dirname "$script")/$target" ;;
    esac
done
here="$(CDPATH='' cd -- "$(dirname "$script")" >/dev/null && pwd -P)"
built="$here/dist/template.yaml"
stack="ecs-task-recycle"
region=""
profile=""
bucket=""
role=""
input="$here/input.json"
delete=""
with_bucket=""
review=""
is_sure=""
is_forced=""
tags=()
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
  --input FILE        the configuration to deploy (default: input.json beside this script)
  --tags KEY=VALUE    a tag of the stack and its resources; may be repeated. Without any, the
                      stack keeps the tags that it has
  --role-arn ARN      the role with which CloudFormation works (default: your own permissions,
                      or the role of the last deployment)
  --review            create a change set, show it, and change nothing
  --delete            delete the stack and what belongs to it; asks first on a terminal
  --with-bucket       with --delete: delete the bucket that this script created, too
  --yes               do not ask
  --force             go on although a run is in progress
  --help              this text

./cloudformation_deploy.sh ClusterNames=production,staging
./cloudformation_deploy.sh 'ScheduleExpression=cron(0 3 ? * SUN *)' \\
    ScheduledClusterName=production ScheduledServiceName=web
USAGE
}

say() {
    echo "cloudformation_deploy.sh: $1"
}

warn() {
    say "warning: $1" >&2
}

fail() {
    say "$1" >&2
    exit 1
}

read_options() {
    while [ $# -gt 0 ]; do
        case "$1" in
            --stack-name | --region | --profile | --bucket | --input | --tags | --role-arn)
                set_option "$1" "${2:-}"
                shift 2
                ;;
            --stack-name=* | --region=* | --profile=* | --bucket=* | --input=* | --tags=* | --role-arn=*)
                set_option "${1%%=*}" "${1#*=}"
                shift
                ;;
            --delete | --with-bucket | --review | --yes | --force)
                set_switch "$1"
                shift
                ;;
            --parameter-overrides) # As in the AWS CLI; here the word may as well be left out.
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
                fail "unknown option $1; --help lists them."
                ;;
        esac
    done
}

set_option() {
    [ -n "$2" ] || fail "$1 needs a value after it."
    case "$1" in
        --stack-name) stack="$2" ;;
        --region) region="$2" ;;
        --profile) profile="$2" ;;
        --bucket) bucket="$2" ;;
        --role-arn) role="$2" ;;
        --input) input="$2" ;;
        --tags)
            [[ "$2" == ?*=* ]] || fail "--tags needs KEY=VALUE after it."
            tags+=("$2")
            ;;
    esac
}

set_switch() {
    case "$1" in
        --delete) delete="yes" ;;
        --with-bucket) with_bucket="yes" ;;
        --review) review="yes" ;;
        --yes) is_sure="yes" ;;
        --force) is_forced="yes" ;;
    esac
}

require_sense() {
    [[ "$stack" =~ ^[A-Za-z][A-Za-z0-9-]{0,127}$ ]] ||
        fail "$stack cannot be the name of a stack: a letter, then letters, digits and hyphens."
    [[ -z "$bucket" || "$bucket" =~ ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$ ]] ||
        fail "$bucket cannot be the name of a bucket: 3 to 63 small letters, digits, hyphens and dots."
    [[ -z "$role" || "$role" == arn:*:iam::*:role/* ]] || fail "--role-arn needs the ARN of a role after it."
    if [ -n "$delete" ]; then
        [ ${#overrides[@]} -eq 0 ] || fail "--delete takes no parameters."
        [ -z "$review" ] || fail "--delete has no --review."
    else
        [ -z "$with_bucket" ] || fail "--with-bucket belongs to --delete."
        [ -f "$input" ] || fail "--input names no file: $input."
        require_parameters
    fi
}

# Before anything is built. The AWS CLI passes over names that the template does not have (a
# misspelt limit would be none), and CloudFormation refuses a value only when all is uploaded.
require_parameters() {
    local python
    [ ${#overrides[@]} -gt 0 ] || return 0
    for python in python3.13 python3 python ""; do
        "${python:-false}" -c 'import sys; sys.exit(sys.version_info[0] != 3)' >/dev/null 2>&1 && break
    done
    [ -n "$python" ] || fail "Python 3 is needed, and there is none on the PATH."
    "$python" - "$here/template.yaml" "${overrides[@]}" <<'PYTHON' || exit 1
import difflib
import re
import sys

SET_BY_THE_SCRIPT = {"CodeBucket", "CodeKey"}


def fail(sentence):
    sys.stderr.write("cloudformation_deploy.sh: {}\n".format(sentence))
    sys.exit(1)


def plain(text):
    return text.strip().strip("\"'")


def listed(text):
    return [plain(each) for each in text.strip("[] ").split(",")]


def read(path):
    """Returns the parameters of the template: of each, its properties as texts."""
    with open(path, encoding="utf-8") as template:
        block = re.search(r"(?ms)^Parameters:\n(.*?)^[A-Z]", template.read()).group(1)
    found = re.findall(r"(?m)^  (\w+):\n((?:    .*\n|\n)+)", block)
    return {
        name: {
            key: " ".join(value.replace(">-", "").split())
            for key, value in re.findall(r"(?m)^    (\w+):(.*(?:\n      .*)*)", body)
        }
        for name, body in found
    }


def problem(declared, value):
    limits = [declared.get("MinValue"), declared.get("MaxValue")]
    if "AllowedValues" in declared and value not in listed(declared["AllowedValues"]):
        return "must be one of {}.".format(", ".join(listed(declared["AllowedValues"])))
    if None not in limits:
        is_whole = re.match(r"^-?[0-9]{1,9}$", value)
        if not is_whole or not int(limits[0]) <= int(value) <= int(limits[1]):
            return "must be a whole number from {} to {}.".format(*limits)
    values = value.split(",") if declared["Type"] == "CommaDelimitedList" else [value]
    pattern = plain(declared.get("AllowedPattern", ".*"))
    if not all(re.match("(?:{})$".format(pattern), each) for each in values):
        return declared["ConstraintDescription"]
    return None


def main():
    known = read(sys.argv[1])
    for override in sys.argv[2:]:
        name, _, value = override.partition("=")
        if name in SET_BY_THE_SCRIPT:
            fail("{} is set by this script; name a bucket of yours with --bucket.".format(name))
        if name not in known:
            names = [each for each in known if each not in SET_BY_THE_SCRIPT]
            near = difflib.get_close_matches(name, names, n=1)
            what = "the nearest is {}".format(near[0]) if near else "template.yaml has them"
            fail("{} is not a parameter; {}.".format(name, what))
        found = problem(known[name], value)
        if found:
            fail("{} {}".format(override, found))


main()
PYTHON
}

# The AWS CLI as it was asked for, and never waiting for a key to be pressed.
cli() {
    AWS_PAGER="" command aws ${profile:+--profile "$profile"} ${region:+--region "$region"} "$@"
}

last_line() {
    sed '/^[[:space:]]*$/d' <<<"$1" | tail -n 1
}

# Python says last what is wrong, and everything else first: pyenv goes on with advice.
cause_in() {
    case "$1" in
        Traceback*) last_line "$1" ;;
        *) sed -n '/[^[:space:]]/{p;q;}' <<<"$1" ;;
    esac
}

require_account() {
    local said
    command -v aws >/dev/null || fail "the AWS CLI is needed, and there is none on the PATH."
    region="${region:-${AWS_REGION:-${AWS_DEFAULT_REGION:-}}}"
    if [ -z "$region" ] && ! region="$(cli configure get region 2>&1)"; then
        # It says nothing where there is no region, and why where it cannot look.
        said="$region" region=""
        require_working_cli
        [ -z "$said" ] || fail "the AWS CLI is not configured: $(last_line "$said")"
        fail "no region is configured; name one with --region."
    fi
    if ! caller="$(cli sts get-caller-identity --query Arn --output text 2>&1)"; then
        require_working_cli
        fail "cannot authenticate with AWS: $(last_line "$caller")"
    fi
    account="$(cut -d: -f5 <<<"$caller")"
}

require_working_cli() {
    local said
    said="$(command aws --version 2>&1)" || fail "the AWS CLI does not work: $(cause_in "$said")"
}

# What CloudFormation knows of the stack, a line each: "status X", "id X", "parameter NAME VALUE",
# "output NAME VALUE", "tag KEY VALUE", with tabs between.
read_stack() {
    if described="$(cli cloudformation describe-stacks --stack-name "$stack" --output text --query \
        "Stacks[0].[[['status', StackStatus], ['id', StackId]],
            Parameters[].['parameter', ParameterKey, ParameterValue],
            Outputs[].['output', OutputKey, OutputValue], Tags[].['tag', Key, Value]][]" 2>&1)"; then
        status="$(awk -F '\t' '$1 == "status" {print $2}' <<<"$described")"
    elif [[ "$described" == *"does not exist"* ]]; then
        status="NONE" described=""
    else
        fail "the stack $stack cannot be read: $(last_line "$described")"
    fi
}

known() {
    awk -F '\t' -v kind="$1" -v name="$2" '$1 == kind && $2 == name {print $3}' <<<"$described"
}

# ---- Runs that a deletion, or a parameter, would leave alone ----

require_no_open_run() {
    local table found
    [ -z "$is_forced" ] || return 0
    table="$(known parameter RunTableName)"
    [ -n "$table" ] || return 0
    if ! found="$(cli dynamodb scan --table-name "$table" --consistent-read --output text \
        --filter-expression '#state <> :ended' --expression-attribute-names '{"#state":"state"}' \
        --expression-attribute-values '{":ended":{"S":"ended"}}' \
        --query 'Items[].[service.S, state.S, run_id.S]' 2>&1)"; then
        [[ "$found" != *ResourceNotFound* ]] || return 0
        fail "cannot tell whether a run is in progress: $(last_line "$found") --force goes on without."
    fi
    [ -z "$found" ] || [ "$found" = None ] || {
        echo "$found" >&2
        fail "$1 while these runs are open, nobody would restore their capacity. Wait for their end, or let each end by the action stop or restore; --force goes on all the same."
    }
}

given() {
    local override
    for override in ${overrides[@]+"${overrides[@]}"}; do
        [ "${override%%=*}" != "$1" ] || echo "${override#*=}"
    done
}

require_runs_are_kept() {
    local table
    if [ "$(given Guardian)" = disabled ] && [ "$(known parameter Guardian)" = enabled ]; then
        require_no_open_run "with the guardian switched off"
    fi
    table="$(given RunTableName)"
    if [ -n "$table" ] && [ "$(known parameter RunTableName)" != "$table" ]; then
        require_no_open_run "with another, empty table"
    fi
}

# CloudFormation would find out when half of the stack is there.
require_free_names() {
    local function table
    function="$(given FunctionName)" table="$(given RunTableName)"
    function="${function:-ecs-task-recycle-function}" table="${table:-ecs-task-recycle-runs}"
    ! cli lambda get-function-configuration --function-name "$function" >/dev/null 2>&1 ||
        fail "there is a function $function already; a second stack needs another FunctionName."
    ! cli dynamodb describe-table --table-name "$table" >/dev/null 2>&1 ||
        fail "there is a table $table already; a second stack needs another RunTableName."
}

# ---- The bucket ----

own_bucket() {
    echo "ecs-task-recycle-$account-$region"
}

require_bucket() {
    local policy error
    [ -z "$bucket" ] || return 0
    bucket="$(own_bucket)"
    # Somebody else may have taken the name in order to be sent our code: hence the owner.
    owner=(--expected-bucket-owner "$account")
    if ! error="$(cli s3api head-bucket --bucket "$bucket" "${owner[@]}" 2>&1)"; then
        [[ "$error" == *404* || "$error" == *NoSuchBucket* ]] ||
            fail "the bucket $bucket is not usable by account $account: $(last_line "$error") --bucket takes one of yours."
        create_bucket
    fi
    # Written last, so a bucket that has it is complete.
    policy="$(cli s3api get-bucket-policy --bucket "$bucket" "${owner[@]}" \
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
    local partition arn
    partition="$(cut -d: -f2 <<<"$caller")"
    arn="arn:$partition:s3:::$bucket"
    {
        cli s3api put-public-access-block --bucket "$bucket" "${owner[@]}" \
            --public-access-block-configuration \
            "BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true" &&
            cli s3api put-bucket-encryption --bucket "$bucket" "${owner[@]}" \
                --server-side-encryption-configuration \
                '{"Rules":[{"ApplyServerSideEncryptionByDefault":{"SSEAlgorithm":"AES256"}}]}' &&
            cli s3api put-bucket-policy --bucket "$bucket" "${owner[@]}" \
                --policy '{"Version":"2012-10-17","Statement":[{"Sid":"OnlyOverTls","Effect":"Deny",
                "Principal":"*","Action":"s3:*","Resource":["'"$arn"'","'"$arn"'/*"],
                "Condition":{"Bool":{"aws:SecureTransport":"false"}}}]}'
    } || fail "the bucket $bucket could not be made private; see above. Run this again."
    say "made the bucket $bucket private, encrypted and reachable over TLS alone"
}

# The key is made of the version and the content: what is there needs no second upload.
upload() {
    local key
    key="$(of_build Key)"
    ! cli s3api head-object --bucket "$bucket" --key "$key" ${owner[@]+"${owner[@]}"} \
        >/dev/null 2>&1 || return 0
    say "uploading it to s3://$bucket/$key"
    cli s3api put-object --bucket "$bucket" --key "$key" ${owner[@]+"${owner[@]}"} \
        --body "$here/dist/ecs-task-recycle.zip" >/dev/null ||
        fail "the zip could not be put into the bucket $bucket, and nothing was deployed; see above."
}

# ---- What CloudFormation does, as it does it ----

events() {
    cli cloudformation describe-stack-events --stack-name "$1" --no-paginate --output text --query \
        'StackEvents[].[EventId, ResourceStatus, LogicalResourceId, ResourceType, ResourceStatusReason]'
}

last_event() {
    events "$1" 2>/dev/null | head -n 1 | cut -f1 || true
}

# Prints the events that come after one of them, until the stack itself has come to an end; leaves
# its status in $ended, and the first failure in $cause. What is deleted may be gone at once.
follow() {
    local id="$1" seen="$2" found newest event state name type reason
    ended="" cause=""
    while [ -z "$ended" ]; do
        if ! found="$(events "$id" 2>&1)"; then
            [[ "$found" == *"does not exist"* ]] || { echo "$found" >&2 && return 1; }
            ended=DELETE_COMPLETE
            return
        fi
        newest="$(head -n 1 <<<"$found" | cut -f1)"
        while IFS=$'\t' read -r event state name type reason; do
            [ -n "$event" ] || continue
            printf '  %-36s %s%s\n' "$state" "$name" "${reason:+$(because "$reason")}"
            case "$state" in *_FAILED) cause="${cause:-$name: $reason}" ;; esac
            [ "$name $type" != "$stack AWS::CloudFormation::Stack" ] || ended="$(end_of "$state")"
        done < <(newer "$seen" <<<"$found")
        seen="$newest"
        [ -n "$ended" ] || sleep "${DEPLOY_LOOKS_EVERY_SECONDS:-3}"
    done
}

# The events before a known one, the oldest first.
newer() {
    awk -F '\t' -v seen="$1" '$1 == seen {exit} {lines[++count] = $0}
        END {for (; count > 0; count--) print lines[count]}'
}

because() {
    [ "$1" = None ] || [ "$1" = "User Initiated" ] || echo ": $1"
}

end_of() {
    case "$1" in
        *_IN_PROGRESS) ;;
        *) echo "$1" ;;
    esac
}

# ---- Deploy ----

# What the build has written into the template.
of_build() {
    sed -n "s/^      $1: \"\\(.*\\)\"\$/\\1/p" "$built"
}

require_deployable() {
    case "$1" in
        ROLLBACK_COMPLETE | ROLLBACK_FAILED | DELETE_FAILED)
            fail "the stack $stack is in the state $1; delete it with --delete, then deploy again."
            ;;
        REVIEW_IN_PROGRESS) ;;
        *_IN_PROGRESS)
            fail "CloudFormation is at work on the stack $stack ($1); try again when it has ended."
            ;;
        UPDATE_ROLLBACK_FAILED)
            fail "the stack $stack is in the state $1; continue its rollback in the console first."
            ;;
    esac
}

deploy() {
    local before
    read_stack
    before="$status"
    require_deployable "$before"
    case "$before" in
        NONE | REVIEW_IN_PROGRESS) require_free_names ;;
        *) require_runs_are_kept ;;
    esac
    say "building the function"
    "$here/lambda_build.sh" --input "$input" --template "$built" ||
        fail "the zip was not built, and nothing was deployed; see above."
    warn_of_what_is_dropped
    require_bucket
    upload
    make_change_set
    if [ -z "$change_set" ]; then
        say "nothing has changed in the stack $stack"
    elif [ -n "$review" ]; then
        show_change_set
        return
    else
        execute_change_set "$before"
    fi
    read_stack
    sed -n $'s/^output\t//p' <<<"$described"
    say_who_is_told
}

warn_of_what_is_dropped() {
    [ "$(known output Mail)" != yes ] || [ "$(of_build Mail)" = yes ] ||
        warn "the deployed configuration sends mail, and $input does not: no run will be mailed any more."
    [ "$(known output AssumedRole)" != yes ] || [ "$(of_build AssumedRole)" = yes ] ||
        warn "the deployed configuration assumes a role, and $input does not: runs will work with the function's own role."
}

make_change_set() {
    local said more=()
    [ -z "$role" ] || more+=(--role-arn "$role")
    # An update without tags would take those away that the stack has.
    [ ${#tags[@]} -gt 0 ] || keep_tags
    [ ${#tags[@]} -eq 0 ] || more+=(--tags "${tags[@]}")
    # By way of the bucket: the template is longer than a request may be.
    said="$(cli cloudformation deploy --template-file "$built" --stack-name "$stack" \
        --s3-bucket "$bucket" --s3-prefix ecs-task-recycle \
        --capabilities CAPABILITY_IAM --no-execute-changeset --no-fail-on-empty-changeset \
        ${more[@]+"${more[@]}"} --parameter-overrides "CodeBucket=$bucket" "CodeKey=" \
        ${overrides[@]+"${overrides[@]}"} 2>&1)" || {
        sed '/^[[:space:]]*$/d; /Uploading to/d' <<<"$said" >&2
        fail "the stack $stack was not deployed; see above."
    }
    change_set="$(grep -o 'arn:[^ ]*:changeSet/[^ ]*' <<<"$said" || true)"
    [ -n "$change_set" ] || [[ "$said" == *"No changes to deploy"* ]] ||
        fail "the AWS CLI made no change set: $(last_line "$said")"
}

keep_tags() {
    local kind key value
    while IFS=$'\t' read -r kind key value; do
        case "$kind $key" in "tag aws:"*) ;; "tag "*) tags+=("$key=$value") ;; esac
    done <<<"$described"
}

show_change_set() {
    local ours="${profile:+ --profile $profile} --region $region"
    say "this is what would change in the stack $stack:"
    cli cloudformation describe-change-set --change-set-name "$change_set" --output text --query \
        'Changes[].ResourceChange.[Action, LogicalResourceId, ResourceType, Replacement]' ||
        fail "the change set cannot be read; see above."
    say "nothing is changed yet. To carry it out, or to discard it:"
    echo "aws cloudformation execute-change-set$ours --change-set-name $change_set"
    echo "aws cloudformation delete-change-set$ours --change-set-name $change_set"
}

execute_change_set() {
    local seen
    case "$1" in
        NONE | REVIEW_IN_PROGRESS) say "creating the stack $stack in $region: one to three minutes" ;;
        *) say "updating the stack $stack in $region: up to three minutes" ;;
    esac
    seen="$(last_event "$stack")"
    cli cloudformation execute-change-set --change-set-name "$change_set" >/dev/null ||
        fail "the stack $stack was not deployed; see above."
    follow "$stack" "$seen" ||
        fail "CloudFormation goes on with the stack $stack, but its events cannot be read; see above."
    case "$ended" in
        CREATE_COMPLETE | UPDATE_COMPLETE) say "the stack $stack is deployed in $region" ;;
        *) fail "the stack $stack was not deployed ($ended): ${cause:-see above}" ;;
    esac
}

# Mail, alarms and destinations: where all are missing, a failed run is a line in a log.
say_who_is_told() {
    [ "$(of_build Mail)" != yes ] || return 0
    case "$(known parameter AlarmTopicArn)$(known parameter OnFailureDestinationArn)" in *arn:*) return 0 ;; esac
    say "nobody will be told of a run that fails: set AlarmTopicArn=, or name somebody under emailNotification.to of input.json."
}

# ---- Delete ----

confirm() {
    local answer=""
    [ -z "$is_sure" ] && [ -t 0 ] || return 0
    read -r -p "Delete it? Answer yes: " answer || true
    [ "$answer" = yes ] || fail "nothing was deleted."
}

delete_stack() {
    local id count seen
    read_stack
    if [ "$status" = NONE ]; then
        say "there is no stack $stack in $region"
    else
        require_no_open_run "if the stack is deleted"
        id="$(awk -F '\t' '$1 == "id" {print $2}' <<<"$described")"
        count="$(cli cloudformation list-stack-resources --stack-name "$stack" --output text \
            --query 'length(StackResourceSummaries)')" || fail "the stack $stack cannot be read; see above."
        say "the stack $stack in $region of account $account goes, with its $count resources: the function, its log and its run records among them"
    fi
    say_what_stays
    [ "$status$with_bucket" != NONE ] || return 0
    confirm
    if [ "$status" != NONE ]; then
        seen="$(last_event "$id")"
        cli cloudformation delete-stack --stack-name "$stack" ${role:+--role-arn "$role"} ||
            fail "the stack $stack could not be deleted; see above."
        say "deleting the stack $stack: up to five minutes"
        follow "$id" "$seen" || fail "the stack's events cannot be read; see above."
        [ "$ended" = DELETE_COMPLETE ] || fail "the stack $stack was not deleted ($ended): ${cause:-see above}"
        say "the stack $stack is deleted"
    fi
    [ -z "$with_bucket" ] || delete_bucket
}

say_what_stays() {
    local kept="${bucket:-$(own_bucket)}"
    if [ -z "$with_bucket" ] && may_be_there "$kept"; then
        say "the bucket $kept stays with its zips, which hold input.json; --with-bucket deletes the one that this script has created"
    fi
    [ "$status" = NONE ] || say "CloudWatch keeps the metrics for 15 months"
}

# A bucket that the caller may not see may be there.
may_be_there() {
    local error
    error="$(cli s3api head-bucket --bucket "$1" 2>&1)" || [[ "$error" != *"(404)"* ]]
}

delete_bucket() {
    bucket="$(own_bucket)"
    cli s3api head-bucket --bucket "$bucket" --expected-bucket-owner "$account" >/dev/null 2>&1 || {
        say "there is no bucket $bucket"
        return 0
    }
    cli s3 rb --force "s3://$bucket" >/dev/null || fail "the bucket $bucket was not deleted; see above."
    say "the bucket $bucket is deleted"
}

owner=()
read_options "$@"
require_sense
require_account
if [ -n "$delete" ]; then
    delete_stack
else
    deploy
fi
