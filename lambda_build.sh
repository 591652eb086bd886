#!/usr/bin/env bash
# Builds the function's zip. Needs bash and any Python 3; the same sources and Python give the same
# bytes.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
output="$here/dist/ecs-task-recycle.zip"

usage() {
    cat <<USAGE
Usage: ./lambda_build.sh [--output FILE]

Builds the zip of the Lambda function: lambda_function.py, AWSSession.py, Notification.py,
input.json and the package ecs_task_recycle; with Python 3.13 their bytecode, too, so that the
function starts sooner. Prints its size and SHA-256.

  --output FILE   where to write it (default: dist/ecs-task-recycle.zip beside this script)
  --help          this text
USAGE
}

fail() {
    echo "lambda_build.sh: $1" >&2
    exit 1
}

while [ $# -gt 0 ]; do
    case "$1" in
        --output)
            [ $# -ge 2 ] && [ -n "$2" ] || fail "--output needs the name of a file after it."
            output="$2"
            shift 2
            ;;
        --output=?*)
            output="${1#--output=}"
            shift
            ;;
        --help | -h)
            usage
            exit 0
            ;;
        *)
            fail "$1 is not an option of mine; --help lists them."
            ;;
    esac
done

case "$output" in
    /*) ;;
    *) output="$PWD/$output" ;;
esac

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

exec "$python" - "$output" <<'PYTHON'
# Written for any Python 3: this one may be older than the function's.
import hashlib
import io
import importlib.util
import json
import os
import py_compile
import shutil
import sys
import tempfile
import zipfile

SINGLE_FILES = ["AWSSession.py", "Notification.py", "input.json", "lambda_function.py"]
PACKAGES = ["ecs_task_recycle"]
BYTECODE_OF = (3, 13)  # the function's runtime reads no other version's
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


def modules(package):
    if not os.path.isdir(package):
        fail("the folder {} is missing.".format(package))
    found = []
    for folder, _, names in os.walk(package):
        found += [os.path.join(folder, name) for name in names if name.endswith(SHIPPED)]
    if not found:
        fail("the folder {} holds no Python module.".format(package))
    return found


def contents():
    names = SINGLE_FILES + [name for package in PACKAGES for name in modules(package)]
    read = {}
    for name in names:
        try:
            with open(name, "rb") as source:
                read[name.replace(os.sep, "/")] = source.read()
        except OSError as error:
            fail("{} cannot be read: {}.".format(name, error.strerror))
    return read


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
                invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH,
            )
            with open(path, "rb") as result:
                compiled[importlib.util.cache_from_source(name)] = result.read()
    except py_compile.PyCompileError as error:
        fail("{} is no Python: {}.".format(name, str(error).strip().splitlines()[-1]))
    finally:
        shutil.rmtree(folder)
    return compiled


def warn_of_secrets(text):
    try:
        # As the function reads it: editors on Windows may put a byte order mark in front.
        configuration = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        fail("input.json is not JSON: {}.".format(error))
    if not isinstance(configuration, dict):
        fail("input.json must hold a JSON object.")
    for section, key in SECRETS:
        values = configuration.get(section)
        if isinstance(values, dict) and values.get(key):
            sys.stderr.write(
                "lambda_build.sh: warning: input.json holds {}.{}, and so will the zip: whoever "
                "can read the function can read it.\n".format(section, key)
            )


def zipped(read):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(read):
            entry = zipfile.ZipInfo(name, FIXED_TIME)
            entry.create_system = UNIX
            entry.external_attr = READABLE_FILE
            archive.writestr(entry, read[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def write(path, data):
    if os.path.isdir(path):
        fail("{} is a folder; --output names a file.".format(path))
    # Beside it first: a build that fails leaves the last zip as it was.
    unfinished = path + ".unfinished"
    try:
        if not os.path.isdir(os.path.dirname(path)):
            os.makedirs(os.path.dirname(path))
        with open(unfinished, "wb") as target:
            target.write(data)
        os.rename(unfinished, path)
    except OSError as error:
        fail("{} cannot be written: {}.".format(path, error.strerror))


def main():
    path = sys.argv[1]
    read = contents()
    warn_of_secrets(read["input.json"])
    has_bytecode = sys.version_info[:2] == BYTECODE_OF
    if has_bytecode:
        read.update(bytecode(sorted(name for name in read if name.endswith(".py"))))
    data = zipped(read)
    write(path, data)
    digest = hashlib.sha256(data).hexdigest()
    sys.stdout.write("{}: {} bytes, sha256 {}\n".format(path, len(data), digest))
    if not has_bytecode:
        sys.stdout.write("Without bytecode, which Python 3.13 adds: it starts a little later.\n")


main()
PYTHON
