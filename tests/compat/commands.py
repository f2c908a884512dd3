"""Drives the public command line, of whichever version is installed beside this Python, through every command that
concerns secrets, services, rooms, keys, projects, sessions and containers.

    commands.py IMAGE USER PASSWORD

The environment is a user's: MESHAGENT_API_URL, MESHAGENT_API_KEY, MESHAGENT_PROJECT_ID. One line per command, its
parts between tabs: area, command, result, remark. It ends with 1 when a command does not do what it is for.
"""

import contextlib
import functools
import http.server
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
from importlib.metadata import version

IMAGE, USER, PASSWORD = sys.argv[1:]
PROJECT = os.environ["MESHAGENT_PROJECT_ID"]
MESHAGENT = str(pathlib.Path(sys.executable).with_name("meshagent"))
IS_OLD = tuple(int(part) for part in version("meshagent-cli").split(".")[:2]) < (0, 34)
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
KEYS = "keys" if IS_OLD else "key"
SERVICE = "services" if IS_OLD else "service"
LIST, LOG, IMAGES = ("ps", "logs", "images") if IS_OLD else ("list", "log", "image")
# Commands of 0.28 that break after a right answer, whatever the server says.
BROKEN = {"session list", "session show", "room container run"} if IS_OLD else set()
# It writes the choice down, and says so with 1.
ENDS_WITH_1 = {"project activate"} if IS_OLD else set()

wrong = []
told = set()


def run(*words, expect="", input=""):
    """A command that must end well and say `expect`; what it said."""
    done = subprocess.run([MESHAGENT, *words], capture_output=True, text=True, timeout=120, input=input)
    said = done.stdout + done.stderr
    name = " ".join(own_words(words))
    if name in BROKEN and done.returncode != 0:
        tell(name, "differs", "the command breaks after a right answer, whatever the server")
    elif (done.returncode == 0 or name in ENDS_WITH_1) and re.search(expect, said):
        tell(name, "works")
    else:
        wrong.append(name)
        tell(name, "fails", said)
    assert PASSWORD not in said, "a password was printed"
    return said


def own_words(words):
    """The command's own words: up to the first option or value."""
    for word in words:
        if not re.fullmatch(r"[a-z]+(-[a-z]+)*", word) or word in ("weather", "walked"):
            return
        yield word


def tell(name, result, remark=""):
    if name not in told or result == "fails":
        told.add(name)
        print("meshagent", name, result, " ".join(remark.split())[-200:], sep="\t", flush=True)


@contextlib.contextmanager
def served(place):
    """The files of a directory over http, on loopback."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=place)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def id_in(said):
    found = re.search(UUID, said)
    assert found, f"no id in: {said}"
    return found[0]


def secrets():
    keys = id_in(run("secret", KEYS, "create", "--name", "walk-keys", "--data", "WALKED=first A=b=c", expect="Created"))
    run("secret", KEYS, "update", "--secret-id", keys, "--name", "walk-keys", "--data", "WALKED=second-value", expect="updated")
    registry = ["--server", IMAGE.split("/")[0], "--username", USER, "--password", PASSWORD]
    pull = id_in(run("secret", "docker", "create", "--name", "walk-pull", *registry, expect="Created Docker"))
    run("secret", "docker", "update", "--secret-id", pull, "--name", "walk-pull", *registry, expect="updated")
    registry[1] = "a.azurecr.io"
    acr = id_in(run("secret", "acr", "create", "--name", "walk-acr", *registry, expect="Created ACR"))
    run("secret", "acr", "update", "--secret-id", acr, "--name", "walk-acr", *registry, expect="updated")
    registry = ["--server", "us-docker.pkg.dev", "--json-key", '{"type":"service_account"}']
    gar = id_in(run("secret", "gar", "create", "--name", "walk-gar", *registry, expect="Created GAR"))
    run("secret", "gar", "update", "--secret-id", gar, "--name", "walk-gar", *registry, expect="updated")
    listed = run("secret", "list", expect="WALKED")
    assert "second-value" not in listed and all(name in listed for name in ("walk-keys", "walk-pull", "walk-acr")), listed
    for id in (acr, gar):
        run("secret", "delete", id, expect="deleted")
    return keys, pull


def services(keys, pull, place):
    """Answers the id of a project's service that a session launches."""
    manifest = place / "service.yaml"
    manifest.write_text(
        f"version: v1\nkind: Service\nmetadata: {{ name: weather }}\ncontainer:\n  image: {IMAGE}\n"
        f"  secrets: [{keys}]\n  pull_secret: {pull}\n  private: false\n"
    )
    template = place / "template.yaml"
    template.write_text(
        'version: v1\nkind: ServiceTemplate\nmetadata: { name: "{{ name }}" }\nvariables: [{ name: name }]\n'
        f"container:\n  image: {IMAGE}\n  on_demand: true\n"
    )
    here = place / "here.yaml"
    here.write_text(f"version: v1\nkind: Service\nmetadata: {{ name: here }}\ncontainer:\n  image: {IMAGE}\n  on_demand: true\n")
    (place / "other.yaml").write_text(here.read_text().replace("name: here", "name: other"))
    in_project = [] if IS_OLD else ["--global"]
    run("service", "validate", "--file", str(manifest))
    run("service", "validate-template", "--file", str(template))
    run("service", "create", "--file", str(manifest), *in_project)
    run("service", "update", "--file", str(manifest), *in_project)
    with served(place) as url:
        run("service", "create", "--url", f"{url}/other.yaml", *in_project)
    run("service", "update", "--file", str(place / "other.yaml"), "--create", *in_project)
    other = next(line for line in run("service", "list", expect="other").splitlines() if "other" in line)
    run("service", "update", "--id", id_in(other), "--file", str(place / "other.yaml"), *in_project)
    run("service", "delete", id_in(other))
    listed = run("service", "list", expect="weather")
    run("service", "list", "-o", "json", expect="weather")
    id = id_in(listed)
    run("service", "show", id, expect="weather")
    (place / "values.yaml").write_text("name: of-a-template\n")
    run("service", "create-template", "--file", str(template), "--values-file", str(place / "values.yaml"), *in_project)
    made = next(line for line in run("service", "list", expect="of-a-template").splitlines() if "of-a-template" in line)
    run("service", "delete", id_in(made))
    values = ["--file", str(template), "--value", "name=of-a-template", *in_project]
    run("service", "create-template", *values)
    listed = run("service", "list", expect="of-a-template")
    of = next(found for found in re.findall(UUID, listed) if found not in (id, keys, pull))
    run("service", "update-template", "--id", of, *values)
    run("service", "delete", of)
    run("service", "create", "--file", str(here), "--room", "walk")
    listed = run("service", "list", "--room", "walk", expect="here")
    run("service", "show", id_in(listed), "--room", "walk", expect="here")
    run("service", "delete", id_in(listed), "--room", "walk")
    return id


def rooms():
    run("rooms", "create", "--name", "walk", "--if-not-exists", expect="walk")
    run("rooms", "create", "--name", "walk-extra", "--metadata", '{"a":1}', expect="walk-extra")
    run("rooms", "get", "--name", "walk-extra", expect=UUID)
    run("rooms", "update", "--name", "walk-extra", "--new-name", "walk-other")
    run("rooms", "list", expect="walk-other")
    run("rooms", "delete", "--name", "walk-other")


def keys_and_projects(place):
    made = run("api-key", "create", "walked", "--description", "by the walk", "--no-activate", expect="ma-")
    listed = run("api-key", "list", "-o", "json", expect="walked")
    (keys,) = json.loads(listed).values()
    id = next(key["id"] for key in keys if key["name"] == "walked")
    key = re.search(r"ma-\S+", made)[0]
    run("api-key", "activate", key)
    run("api-key", "delete", id)
    run("project", "list", expect=PROJECT)
    run("project", "activate", PROJECT, expect=PROJECT)
    token = place / "token.yaml"
    token.write_text("version: v1\nkind: ParticipantToken\nidentity: walker\nroom: walk\napi: {" + ("" if IS_OLD else "llm: {}") + "}\n")
    run("token", *(["generate"] if IS_OLD else []), "--input", str(token), expect="ey")


def room(service):
    at = ["--room", "walk"]
    listed = run("room", SERVICE, "list", *at, expect="weather")
    assert service in listed, listed
    run("room", SERVICE, "restart", *at, "--id", service)
    for _ in range(20):
        listed = run("room", "container", LIST, *at, expect=IMAGE)
        if "RUNNING" in listed:
            break
    id = re.search(f"""['"]id['"]: ['"]({UUID})""", listed)[1]
    run("room", "container", LOG, *at, "--id", id, expect="WALKED")
    run("room", "container", "exec", *at, "--container-id", id, "--command", "echo heard", expect="heard")
    run("room", "container", IMAGES, "pull", *at, "--tag", IMAGE, "--cred", f"{USER},{PASSWORD}")
    run("room", "container", IMAGES, "list", *at, expect="weather")
    said = subprocess.run([MESHAGENT, "room", "container", IMAGES, "delete", *at, "--image", IMAGE], capture_output=True, text=True, timeout=120)
    assert said.returncode != 0 and "runs this image" in said.stdout + said.stderr, said
    tell(f"room container {IMAGES} delete", "works")
    cred = ["--cred", f"{USER},{PASSWORD}"]
    run("room", "container", "run", *at, "--image", IMAGE, "--command", "true", *cred)
    run("room", "container", "stop", *at, "--id", id)
    said = run("session", "list", expect="walk")
    if not IS_OLD:
        run("session", "show", id_in(said), expect="session")


with tempfile.TemporaryDirectory() as place:
    place = pathlib.Path(place)
    rooms()
    keys_and_projects(place)
    room(services(*secrets(), place))
if wrong:
    sys.exit(f"{len(wrong)} commands do not do what they are for: {', '.join(wrong)}")
