#!/usr/bin/env bash
# Builds the function's zip. Needs bash and any Python 3; the same sources and Python give the same
# bytes.
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
output="$here/dist/ecs-task-recycle.zip"
input="$here/input.json"
template=""

usage() {
    cat <<USAGE
Usage: ./lambda_build.sh [OPTION...]

Builds the zip of the Lambda function: lambda_function.py, AWSSession.py, Notification.py,
input.json and the package ecs_task_recycle; with Python 3.13 their bytecode, too, so that the
function starts sooner. In a git checkout it takes only the files that git tracks. Prints size,
SHA-256 and version, and checks input.json as the function will read it (with Python 3.13).

  --output FILE     where to write the zip (default: dist/ecs-task-recycle.zip beside this script)
  --input FILE      the file to pack as input.json (default: input.json beside this script)
  --template FILE   also write template.yaml there, made for this zip, and print the key under
                    which the zip belongs into the bucket
  --help            this text
USAGE
}

fail() {
    echo "lambda_build.sh: $1" >&2
    exit 1
}

set_option() {
    [ -n "$2" ] || fail "$1 needs the name of a file after it."
    local path="$2"
    case "$path" in
        /*) ;;
        *) path="$PWD/$path" ;;
    esac
    case "$1" in
        --output) output="$path" ;;
        --input) input="$path" ;;
        --template) template="$path" ;;
    esac
}

while [ $# -gt 0 ]; do
    case "$1" in
        --output | --input | --template)
            set_option "$1" "${2:-}"
            shift 2
            ;;
        --output=* | --input=* | --template=*)
            set_option "${1%%=*}" "${1#*=}"
            shift
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            fail "unknown option $1; --help lists them."
            ;;
    esac
done

# The script's own folder first: a .python-version there may choose which python3 answers.
cd "$here"
python=""
for candidate in python3.13 python3 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info[0] != 3)' >/dev/null 2>&1; then
        python="$candidate"
        break
    fi
done
[ -n "$python" ] || fail "Python 3 is needed to write the zip, and there is none on the PATH."

exec "$python" - "$output" "$input" "$template" <<'PYTHON'
# Written for any Python 3: this one may be older than the function's.
import hashlib
import io
import importlib
import importlib.util
import json
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

CONFIGURATION = "input.json"
SINGLE_FILES = ["AWSSession.py", "Notification.py", "lambda_function.py"]
PACKAGES = ["ecs_task_recycle"]
VERSION_FILE = "ecs_task_recycle/version.txt"
TEMPLATE = "template.yaml"
RUNTIME = (3, 13)  # it reads no other version's bytecode
SHIPPED = (".py", ".html")  # of the packages: modules, and the template of the mail
SECRETS = [
    ("awsCredentials", "access_key"),
    ("awsCredentials", "secret_key"),
    ("awsCredentials", "session_token"),
    ("smtpCredentials", "password"),
]
FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can hold
UNIX = 3
READABLE_FILE = 0o100644 << 16  # Lambda runs as another user: all must be able to read


def fail(sentence):
    sys.stderr.write("lambda_build.sh: {}\n".format(sentence))
    sys.exit(1)


def warn(sentence):
    sys.stderr.write("lambda_build.sh: warning: {}\n".format(sentence))


def git(*arguments):
    """Returns what git says, None where it fails or is missing."""
    try:
        return subprocess.check_output(("git",) + arguments, stderr=subprocess.DEVNULL).decode()
    except (OSError, subprocess.CalledProcessError):
        return None


def tracked():
    """Returns the files that git tracks, None where this folder is no checkout of its own."""
    names = (git("ls-files", "-z") or "").split("\0")
    return set(names) if SINGLE_FILES[-1] in names else None


def modules(package):
    if not os.path.isdir(package):
        fail("the folder {} is missing.".format(package))
    found = []
    for folder, _, names in os.walk(package):
        found += [os.path.join(folder, name) for name in names if name.endswith(SHIPPED)]
    if not found:
        fail("the folder {} holds no Python module.".format(package))
    return [name.replace(os.sep, "/") for name in found]


def source_names():
    found = [name for package in PACKAGES for name in modules(package)]
    known = tracked()
    if known is None:
        return SINGLE_FILES + found
    for name in sorted(set(found) - known):
        warn("{} is left out: git does not track it.".format(name))
    deep = [n for n in known if n.split("/")[0] in PACKAGES and n.endswith(SHIPPED)]
    return SINGLE_FILES + deep


def read_file(name):
    if os.path.islink(name):
        fail("{} is a link; what is packed must be a file.".format(name))
    try:
        with open(name, "rb") as source:
            return source.read()
    except OSError as error:
        fail("{} cannot be read: {}.".format(name, error.strerror))


def version_of(sources):
    """Returns how git describes the last commit that changed what is packed, input.json apart.

    Not that of HEAD: a commit that changes a page would make another zip.
    """
    names = sorted(sources)
    commit = (git("log", "-1", "--format=%H", "--", *names) or "").strip() if tracked() else ""
    if not commit:
        digest = hashlib.sha256()
        for name in names:
            digest.update(name.encode() + b"\0" + hashlib.sha256(sources[name]).digest())
        return "unversioned-" + digest.hexdigest()[:12]
    described = (git("describe", "--tags", "--always", commit) or commit[:12]).strip()
    is_changed = git("diff", "--quiet", "HEAD", "--", *names) is None
    return re.sub(r"[^A-Za-z0-9._-]", "-", described) + ("-dirty" if is_changed else "")


def bytecode(names):
    # Lambda cannot write beside the function, and would compile it anew at each cold start. Checked
    # by the source's hash: what is edited in the console's editor counts.
    folder = tempfile.mkdtemp()
    compiled = {}
    try:
        for name in names:
            path = os.path.join(folder, "compiled")
            py_compile.compile(
                name,
                cfile=path,
                dfile=name,
                doraise=True,
                optimize=0,  # whatever PYTHONOPTIMIZE says: Lambda does not
                invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
            )
            with open(path, "rb") as result:
                compiled[importlib.util.cache_from_source(name, optimization="")] = result.read()
    except py_compile.PyCompileError as error:
        fail("{} is no Python: {}.".format(name, str(error).strip().splitlines()[-1]))
    finally:
        shutil.rmtree(folder)
    return compiled


def read_configuration(path):
    """Returns the file and what it holds; refuses what the function would refuse."""
    if path == os.path.join(os.getcwd(), CONFIGURATION) and os.path.islink(path):
        fail("input.json is a link; name the file itself by --input.")
    try:
        with open(path, "rb") as source:
            data = source.read()
        # As the function reads it: editors on Windows may put a byte order mark in front.
        document = json.loads(data.decode("utf-8-sig"))
    except OSError as error:
        fail("{} cannot be read: {}.".format(shown(path), error.strerror))
    except (ValueError, RecursionError) as error:
        fail("{} is not JSON: {}.".format(shown(path), error))
    if not isinstance(document, dict):
        fail("{} must hold a JSON object.".format(shown(path)))
    warn_of_secrets(path, document)
    return data, document


def check_as_the_function_does(document, path):
    """Lets the product read the configuration: its own reader, which only its own Python runs."""
    sys.dont_write_bytecode = True
    reader = importlib.import_module("ecs_task_recycle.settings.input_json")
    try:
        reader.configuration_from(document)
    except reader.SettingsError as error:
        problem = " ".join(getattr(error, "sentence", str(error)).split()).rstrip(".")
        fail("{} would make every run fail: {}.".format(shown(path), problem))


def shown(path):
    """Returns a path as one reads it: from this folder, where it is in it."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


def warn_of_secrets(path, document):
    for section, key in SECRETS:
        values = document.get(section)
        if isinstance(values, dict) and values.get(key):
            warn(
                "{} holds {}.{}, and so will the zip: whoever can read the function or the bucket "
                "can read it, also after the stack is deleted.".format(shown(path), section, key)
            )


def has(document, section, key):
    """Returns whether a section of the configuration names something under a key."""
    values = document.get(section)
    value = values.get(key) if isinstance(values, dict) else None
    texts = value if isinstance(value, list) else [value]
    return any(isinstance(text, str) and text.strip() for text in texts)


def zipped(read):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(read):
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.create_system = UNIX
            entry.external_attr = READABLE_FILE
            archive.writestr(entry, read[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def filled_template(values):
    """Returns template.yaml with what it says of the zip under Mappings."""
    text = read_file(TEMPLATE).decode("utf-8")
    for name, value in values.items():
        text, count = re.subn(
            r"(?m)^(      {}: ).*$".format(name), lambda line: line[1] + json.dumps(value), text
        )
        if count != 1:
            fail("{} has {} mappings {}, expected one.".format(TEMPLATE, count, name))
    return text.encode("utf-8")


def write(path, data, option):
    if os.path.isdir(path):
        fail("{} is a folder; {} names a file.".format(path, option))
    # Beside it first: a build that fails leaves the last one as it was.
    unfinished = path + ".unfinished"
    try:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with open(unfinished, "wb") as target:
            target.write(data)
        os.replace(unfinished, path)
    except OSError as error:
        fail("{} cannot be written: {}.".format(path, error.strerror))


def main():
    path, input_path, template_path = sys.argv[1:]
    sources = {name: read_file(name) for name in source_names()}
    read = dict(sources)
    read[CONFIGURATION], document = read_configuration(input_path)
    is_runtime = sys.version_info[:2] == RUNTIME
    if is_runtime:
        read.update(bytecode(sorted(name for name in sources if name.endswith(".py"))))
        check_as_the_function_does(document, input_path)
    version = version_of(sources)
    read[VERSION_FILE] = version.encode() + b"\n"
    data = zipped(read)
    digest = hashlib.sha256(data).hexdigest()
    has_mail = has(document, "emailNotification", "to")
    has_role = has(document, "awsCredentials", "role_arn")
    key = "ecs-task-recycle/{}-{}.zip".format(version, digest[:16])
    packaged = None
    if template_path:
        values = {"Key": key, "Version": version}
        values["Mail"] = "yes" if has_mail else "no"
        values["AssumedRole"] = "yes" if has_role else "no"
        packaged = filled_template(values)
    write(path, data, "--output")
    say = sys.stdout.write
    say("{}: {} bytes, sha256 {}\n".format(path, len(data), digest))
    say("version {}; mail: {}; role to assume: {}\n".format(
        version, "yes" if has_mail else "no", "yes" if has_role else "no"
    ))
    if packaged is not None:
        write(template_path, packaged, "--template")
        say("{}: needs the zip in the bucket as {}\n".format(template_path, key))
    if not is_runtime:
        say(
            "Without bytecode, which Python 3.13 adds: it starts a little later, and its SHA-256 is "
            "another one. {} was not checked for what the function refuses.\n".format(
                shown(input_path)
            )
        )


main()
PYTHON
