#!/usr/bin/env bash
# Builds the function's zip. Needs bash and any Python 3, with pip where the SDK is not installed yet;
# the same sources, pins and Python give the same bytes.
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
input.json, the package ecs_task_recycle, and the AWS SDK that requirements.txt pins, with the models
of the services in use; with Python 3.13 their bytecode, too, so that the function starts sooner. In a
git checkout it takes only the files that git tracks. Prints size, SHA-256, version and the SDK's
part, and checks input.json as the function will read it (with Python 3.13).

The SDK is taken from the Python that builds, or from .venv beside this script, if exactly the pinned
versions are installed there. Otherwise pip fetches them once, into build/ beside this script.

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
import base64
import csv
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
PINS = "requirements.txt"
SDK_PARTS = ("boto3/", "botocore/", "dateutil/", "jmespath/", "s3transfer/", "six.py", "urllib3/")
SDK_LEFT_OUT = ("boto3/examples/", "urllib3/contrib/emscripten/")
SDK_DATA = (
    "botocore/cacert.pem",
    "botocore/data/_retry.json",
    "botocore/data/endpoints.json",
    "botocore/data/partitions.json",
    "botocore/data/sdk-default-configuration.json",
)
SERVICES = {  # whose clients the function makes, and the one version of each that boto3 takes
    "application-autoscaling": "2016-02-06",
    "cloudwatch": "2010-08-01",
    "dynamodb": "2012-08-10",
    "ecs": "2014-11-13",
    "elbv2": "2015-12-01",
    "events": "2015-10-07",
    "secretsmanager": "2017-10-17",
    "sns": "2010-03-31",
    "stepfunctions": "2016-11-23",
    "sts": "2011-06-15",
}
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


def pins():
    """Returns the name and version of each package of the SDK."""
    text = read_file(PINS).decode("utf-8")
    found = re.findall(r"(?m)^([\w.-]+)==([\w.]+)", text)
    if "boto3" not in dict(found):
        fail("{} pins no boto3.".format(PINS))
    return found


def sdk():
    """Returns what is packed of the SDK: from where it is installed, else as pip fetches it."""
    beside = os.path.join(".venv", "lib", "python{}.{}".format(*RUNTIME), "site-packages")
    for folder in [each for each in sys.path if each] + [beside]:
        found = installed_sdk(folder)
        if found is not None:
            return found
    # By what is pinned, not by the file's comments.
    digest = hashlib.sha256(repr(pins()).encode()).hexdigest()[:16]
    folder = os.path.join("build", "sdk-" + digest)
    if not os.path.isdir(folder):
        fetch_sdk(folder)
    found = installed_sdk(folder)
    if found is None:
        fail("{} is not the SDK as {} pins it; remove that folder.".format(folder, PINS))
    return found


def installed_sdk(folder):
    """Returns the SDK's files in a folder; None unless all are there as their packages name them."""
    found = {}
    for package, version in pins():
        name = "{}-{}".format(package.replace("-", "_"), version)
        try:
            with open(os.path.join(folder, name + ".dist-info", "RECORD"), newline="") as record:
                listed = [row[:2] for row in csv.reader(record)]
            for path, digest in listed:
                if is_packed(path):
                    found[packed_name(path, name)] = checked(os.path.join(folder, path), digest)
        except (OSError, ValueError):
            return None
    return found


def is_packed(path):
    """Returns whether a file of the SDK is packed: modules, data in use, and licences."""
    folders = path.split("/")
    if folders[0].endswith(".dist-info"):
        return folders[-1].startswith(("LICENSE", "NOTICE"))
    if path.startswith("botocore/data/") and path not in SDK_DATA:
        is_used = len(folders) == 5 and SERVICES.get(folders[2]) == folders[3]
        return is_used and not folders[4].startswith("examples")
    if path.startswith(SDK_LEFT_OUT) or not path.startswith(SDK_PARTS):
        return False
    return path.endswith(".py") or path in SDK_DATA


def packed_name(path, package):
    """Returns where a file is in the zip. Licences without .dist-info, which would be half of one."""
    head, _, tail = path.partition("/")
    is_licence = head.endswith(".dist-info")
    return "licenses/{}/{}".format(package, tail.split("/")[-1]) if is_licence else path


def checked(path, digest):
    """Returns a file if it is as its package was released; ValueError if somebody has changed it."""
    with open(path, "rb") as source:
        data = source.read()
    actual = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    if digest != "sha256=" + actual:
        raise ValueError(path)
    return data


def fetch_sdk(folder):
    """Lets pip install the SDK for the function's Python; the folder is there once it is whole."""
    sys.stderr.write("lambda_build.sh: fetching the SDK that {} pins, once.\n".format(PINS))
    unfinished = None
    try:
        os.makedirs("build", exist_ok=True)
        unfinished = tempfile.mkdtemp(dir="build", prefix="sdk-unfinished-")
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-compile"]
        options += ["--no-deps", "--only-binary", ":all:"]
        options += ["--python-version", "{}.{}".format(*RUNTIME), "--target", unfinished]
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install"] + options + ["-r", PINS],
            env=dict(os.environ, PIP_USER="0", PIP_REQUIRE_VIRTUALENV="0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            said = done.stdout.decode("utf-8", "replace").strip().splitlines() or ["nothing said"]
            fail(
                "the SDK that {} pins is not installed, and pip could not fetch it ({}); it needs "
                "pip and a package index, or a .venv made by make.".format(PINS, said[-1].strip())
            )
        os.rename(unfinished, folder)
    except OSError as error:
        if not os.path.isdir(folder):  # another build may have been quicker
            fail("{} cannot be written: {}.".format(folder, error.strerror))
    finally:
        if unfinished:
            shutil.rmtree(unfinished, ignore_errors=True)


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


def bytecode(sources, mode):
    # Lambda cannot write beside the function, and would compile it anew at each cold start.
    folder = tempfile.mkdtemp()
    compiled = {}
    try:
        source, path = os.path.join(folder, "source"), os.path.join(folder, "compiled")
        for name in sorted(name for name in sources if name.endswith(".py")):
            with open(source, "wb") as target:
                target.write(sources[name])
            py_compile.compile(
                source,
                cfile=path,
                dfile=name,
                doraise=True,
                optimize=0,  # whatever PYTHONOPTIMIZE says: Lambda does not
                invalidation_mode=getattr(py_compile.PycInvalidationMode, mode),
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
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=once)
    except OSError as error:
        fail("{} cannot be read: {}.".format(shown(path), error.strerror))
    except (ValueError, RecursionError) as error:
        fail("{} is not JSON: {}.".format(shown(path), error))
    if not isinstance(document, dict):
        fail("{} must hold a JSON object.".format(shown(path)))
    warn_of_secrets(path, document)
    return data, document


def once(pairs):
    """Returns an object of JSON; fails for a name that stands in it twice, as the last one counts."""
    names = [name for name, _ in pairs]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        fail("input.json gives {} more than once.".format(json.dumps(twice[0])))
    return dict(pairs)


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


def size_of(data, names):
    """Returns how many bytes of a zip some of its files take."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return sum(archive.getinfo(name).compress_size for name in names)


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
    packages = sdk()
    read[CONFIGURATION], document = read_configuration(input_path)
    is_runtime = sys.version_info[:2] == RUNTIME
    if is_runtime:
        # By the source's hash: whoever edits a source finds it changed. Nobody edits the SDK.
        read.update(bytecode(sources, "CHECKED_HASH"))
        packages.update(bytecode(packages, "UNCHECKED_HASH"))
        check_as_the_function_does(document, input_path)
    version = version_of(dict(sources, **{PINS: read_file(PINS)}))
    read.update(packages)
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
    say("with boto3 {} and {} services' models: {} bytes of it\n".format(
        dict(pins())["boto3"], len(SERVICES), size_of(data, packages)
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
