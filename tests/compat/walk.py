"""Drives the public Python client, of whichever version is installed, through every call it has.

    walk.py IMAGE USER PASSWORD

The environment is a user's: MESHAGENT_API_URL, MESHAGENT_API_KEY, MESHAGENT_PROJECT_ID. What this server offers is
used as people use it; each other call is made once with made-up arguments and must be told "not offered", by an error
of the client's own kind. Nothing may hang. One line per call, its parts between tabs: area, call, result, remark. It
ends with 1 when anything is otherwise.
"""

import asyncio
import base64
import inspect
import json
import os
import sys
import traceback

import fill
from meshagent.api import WebSocketClientProtocol, room_server_client
from meshagent.api import client as rest
from meshagent.api.room_server_client import DockerSecret, RoomClient
from meshagent.api.specs.service import ServiceSpec

try:
    from meshagent.api.urls import websocket_room_url
except ImportError:  # before 0.21
    from meshagent.api.helpers import websocket_room_url

IMAGE, USER, PASSWORD = sys.argv[1:]
PROJECT = os.environ["MESHAGENT_PROJECT_ID"]
SECONDS = 60

# What ends or begins something within the client itself, without a request.
LOCAL = {"close", "start", "stop", "open", "wait_for_close", "wait_until_connected", "sync", "get_sync_session"}
# What is for the parts of the client, and comes with everything else.
PLUMBING = {"RoomClient.send_request", "RoomClient.emit", "AgentsClient.invoke_tool", "RoomClient.invoke"}
# What a call that is not offered looks at before it asks.
TASK = {"metadata": {}, "schedule": "0 0 * * *", "queue": {"name": "q", "payload": {}}}
GIVEN = {
    "DatasetsClient.update": {"values": {"a": 1}},
    "DatabaseClient.merge": {"records": [{"a": 1}]},
    "DatabaseClient.update": {"values": {"a": 1}},
    "MemoryClient.upsert_table": {"records": [{"a": 1}]},
    "Meshagent.create_scheduled_task": {"spec": TASK, "annotations": {}},
    "Meshagent.update_scheduled_task": {"spec": TASK, "annotations": {}},
}

seen = {}
wrong = []


def tell(area, call, result, remark=""):
    if f"{area}.{call}" in seen:
        return
    seen[f"{area}.{call}"] = result
    print(area, call, result, " ".join(str(remark).split())[:200], sep="\t", flush=True)


def fail(area, call, remark):
    wrong.append(f"{area}.{call}")
    tell(area, call, "fails", remark)


class Watched:
    """A client whose calls are written down, and must come to an end."""

    def __init__(self, of):
        self.of = of
        self.area = type(of).__name__

    def __getattr__(self, name):
        found = getattr(self.of, name)
        if not callable(found):
            return found

        def call(*given, **named):
            result = found(*given, **named)
            if not asyncio.iscoroutine(result) and not asyncio.isfuture(result):
                tell(self.area, name, "works")
                return result

            async def until_it_ends():
                try:
                    answer = await asyncio.wait_for(result, SECONDS)
                except BaseException as error:
                    if not is_refusal(error):
                        fail(self.area, name, f"{type(error).__name__}: {error}")
                    raise
                tell(self.area, name, "works")
                return answer

            return until_it_ends()

        return call

    def has(self, name):
        return hasattr(self.of, name)


def is_refusal(error):
    return isinstance(error, rest.RoomException) or isinstance(error, room_server_client.RoomException)


async def refused(call, *words):
    """`call` must be refused, with these words."""
    try:
        answer = await call
    except Exception as error:
        assert is_refusal(error), f"{type(error).__name__}: {error}"
        assert all(word in str(error) for word in words), f"{words} are not in: {error}"
        return
    raise AssertionError(f"it was not refused: {answer}")


async def eventually(what, poll):
    """Asks until there is an answer; the server tells of these states only when asked."""
    for _ in range(SECONDS * 10):
        answer = await poll()
        if answer:
            return answer
        await asyncio.sleep(0.1)
    raise AssertionError(f"{what} did not come")


def service(name, **container):
    manifest = {"version": "v1", "kind": "Service", "metadata": {"name": name}, "container": {"image": IMAGE, **container}}
    return ServiceSpec.model_validate(manifest)


TEMPLATE = """
version: v1
kind: ServiceTemplate
metadata: { name: "{{ name }}" }
variables: [{ name: name }]
container:
  image: IMAGE
  on_demand: true
""".replace("IMAGE", IMAGE)


async def projects(client):
    listed = await client.list_projects()
    assert [project["id"] for project in listed["projects"]] == [PROJECT], listed
    assert (await client.get_project(PROJECT))["id"] == PROJECT
    assert await client.get_project_role(PROJECT) == "admin"
    if client.has("get_project_status"):
        assert (await client.get_project_status(PROJECT)).enabled
    if client.has("get_status"):
        assert await client.get_status(PROJECT)
    if client.has("get_project_info"):
        assert (await client.get_project_info(PROJECT)).id == PROJECT
    if client.has("can_use_llm_proxy"):
        assert not await client.can_use_llm_proxy(PROJECT)
    made = await client.create_api_key(PROJECT, "walked", "by the walk")
    assert made["value"].startswith("ma-"), "a key begins with ma-"
    keys = (await client.list_api_keys(PROJECT))["keys"]
    assert made["id"] in [key["id"] for key in keys], keys
    await client.delete_api_key(PROJECT, made["id"])


async def secrets(client):
    """Answers the pull secret's id and the secret key's."""
    host = IMAGE.split("/")[0]
    pull = rest.PullSecret(id="", name="walk-pull", type="docker", server=host, username=USER, password=PASSWORD, email="none@example.com")
    keys = rest.KeysSecret(id="", name="walk-keys", type="keys", data={"WALKED": "first-value"})
    pull_id = await client.create_secret(project_id=PROJECT, secret=pull)
    keys_id = await client.create_secret(project_id=PROJECT, secret=keys)
    keys.id, keys.data = keys_id, {"WALKED": "second value"}
    await client.update_secret(project_id=PROJECT, secret=keys)
    listed = {secret.name: secret for secret in await client.list_secrets(PROJECT)}
    assert set(listed) == {"walk-pull", "walk-keys"}, listed
    assert "second value" not in repr(listed) and PASSWORD not in repr(listed), "a value is in the list"
    await refused(client.create_secret(project_id=PROJECT, secret=keys), "taken")
    if client.has("create_project_secret"):
        data = json.dumps({"A": "b"}).encode()
        made = await client.create_project_secret(project_id=PROJECT, name="walk-managed", type="keys", data=data)
        await client.update_project_secret(project_id=PROJECT, secret_id=made, name="walk-managed", type="keys", data=data)
        read = await client.get_project_secret(project_id=PROJECT, secret_id=made)
        assert json.loads(read.data) == {"A": "[redacted]"}, read
        assert made in [secret.id for secret in await client.list_project_secrets(project_id=PROJECT)]
        await client.delete_project_secret(project_id=PROJECT, secret_id=made)
    extra = await client.create_secret(project_id=PROJECT, secret=rest.KeysSecret(id="", name="walk-extra", type="keys", data={}))
    await client.delete_secret(project_id=PROJECT, secret_id=extra)
    return pull_id, keys_id


async def rooms(client):
    room = await client.create_room(project_id=PROJECT, name="walk", if_not_exists=True, metadata={"a": 1})
    assert room.name == "walk", room
    extra = await client.create_room(project_id=PROJECT, name="walk-extra")
    await refused(client.create_room(project_id=PROJECT, name="walk-extra"), "taken")
    await client.update_room(project_id=PROJECT, room_id=extra.id, name="walk-other")
    assert (await client.get_room(project_id=PROJECT, name="walk-other")).id == extra.id
    names = [room.name for room in await client.list_rooms(project_id=PROJECT)]
    assert names == ["walk", "walk-other"], names
    if client.has("list_rooms_page"):
        assert len((await client.list_rooms_page(project_id=PROJECT)).rooms) == 2
    await client.delete_room(project_id=PROJECT, room_id=extra.id)


async def services(client, pull, keys):
    """Answers the id of a service that a session launches."""

    def id_of(answer):
        return answer if isinstance(answer, str) else answer.id

    told = 'trap "exit 0" TERM; echo told $WALKED | tr a-z A-Z; sleep 1000 & wait'
    spec = service("walker", pull_secret=pull, secrets=[keys], command=f"sh -c '{told}'")
    made = id_of(await client.create_service(project_id=PROJECT, service=spec))
    spec.id = made
    await client.update_service(project_id=PROJECT, service_id=made, service=spec)
    assert (await client.get_service(project_id=PROJECT, service_id=made)).metadata.name == "walker"
    extra = id_of(await client.create_service(project_id=PROJECT, service=service("walk-extra", pull_secret=pull)))
    assert len(await client.list_services(project_id=PROJECT)) == 2
    await refused(client.create_service(project_id=PROJECT, service=service("walk-extra", pull_secret=pull)), "taken")
    await client.delete_service(project_id=PROJECT, service_id=extra)

    where = {"project_id": PROJECT, "room_name": "walk"}
    made_here = await client.create_room_service(**where, service=service("here", command="sleep 1000"))
    there = await client.get_room_service(**where, service_id=made_here)
    await client.update_room_service(**where, service_id=made_here, service=there)
    assert [service.id for service in await client.list_room_services(**where)] == [made_here]
    await client.delete_room_service(**where, service_id=made_here)

    if client.has("render_template"):
        rendered = await client.render_template(template=TEMPLATE, values={"name": "of-a-template"})
        assert rendered.metadata.name == "of-a-template", rendered
        written = {"template": TEMPLATE, "values": {"name": "of-a-template"}}
        of = id_of(await client.create_service_from_template(project_id=PROJECT, **written))
        if not any(service.id == of for service in await client.list_services(project_id=PROJECT)):
            of = json.loads(of)["id"]
        await client.update_service_from_template(project_id=PROJECT, service_id=of, **written)
        await client.delete_service(project_id=PROJECT, service_id=of)
        of = (await client.create_room_service_from_template(**where, **written)).id
        await client.update_room_service_from_template(**where, service_id=of, **written)
        await client.delete_room_service(**where, service_id=of)
    return made


async def joined(client):
    connection = await client.connect_room(project_id=PROJECT, room="walk")

    def protocol():
        return WebSocketClientProtocol(url=websocket_room_url(room_name="walk"), token=connection.jwt)

    wanted = inspect.signature(RoomClient.__init__).parameters
    return RoomClient(protocol=protocol()) if "protocol" in wanted else RoomClient(protocol_factory=protocol)


async def sessions(client, session):
    active = await client.list_active_sessions(PROJECT)
    assert [found.room_name for found in active] == ["walk"] and active[0].is_active, active
    assert session in [found.id for found in await client.list_recent_sessions(PROJECT)]
    assert (await client.get_session(PROJECT, session))["room_name"] == "walk"
    events = await client.list_session_events(PROJECT, session)
    assert events and all("type" in event for event in events), events
    assert await client.list_session_spans(PROJECT, session) == []
    assert await client.list_session_metrics(PROJECT, session) == []


async def lines(stream, until=None):
    """The lines of a log, to its end or to one that ends so."""
    read = []
    async for line in stream.logs():
        read.append(line.rstrip("\n"))
        if until and read[-1].endswith(until):
            break
    return read


async def text(stream):
    read = b""
    async for part in stream():
        read += part
    return read.decode()


def names_of(image):
    return image.tags if hasattr(image, "tags") else image.references


async def containers(room, service_id):
    these, raw = Watched(room.containers), room.containers
    credentials = [DockerSecret(username=USER, password=PASSWORD)]
    tag = IMAGE

    async def of_the_service():
        listed = await raw.list(all=True)
        return next((found for found in listed if found.state == "RUNNING"), None)

    own = await eventually("the service's container", of_the_service)
    assert await these.list() and IMAGE in own.image, own
    if hasattr(own, "service_id") and own.service_id is not None:
        assert own.service_id == service_id, own
    followed = these.logs(container_id=own.id, follow=True) if these.has("logs") else None
    if followed:
        # Its value is taken out of what it prints; it is changed to capitals, which nobody can know of.
        read = await asyncio.wait_for(lines(followed, "SECOND VALUE"), SECONDS)
        assert read == ["TOLD SECOND VALUE"], read
        await followed.cancel()
        assert await lines(these.logs(container_id=own.id)) == read

    await these.pull_image(tag=tag, credentials=credentials)
    assert any(IMAGE in names_of(image) for image in await these.list_images())
    mine = await these.run(image=tag, command="sh -c 'echo mine; exec sleep 1000'", env={"GIVEN": "a b"}, private=False, name="mine", credentials=credentials)

    session = await these.exec(container_id=mine, command="sh -c 'cat; echo $GIVEN; echo err >&2; exit 3'")
    out, err = asyncio.create_task(text(session.stdout)), asyncio.create_task(text(session.stderr))
    if hasattr(session, "wait_for_ready"):
        await session.wait_for_ready()
    await session.write(b"typed\n")
    await session.close_stdin()
    assert await asyncio.wait_for(session.result, SECONDS) == 3
    assert (await out, await err) == ("typed\na b\n", "err\n")
    tell("ExecSession", "write, close_stdin, stdout, stderr, result", "works")

    session = await these.exec(container_id=mine, command="sh", tty=True)
    out = asyncio.create_task(text(session.stdout))
    if hasattr(session, "wait_for_ready"):
        await session.wait_for_ready()
    await session.resize(width=91, height=33)
    await session.write(b"stty size; exit 5\n")
    assert await asyncio.wait_for(session.result, SECONDS) == 5
    shown = await out
    assert "33 91" in shown, shown
    tell("ExecSession", "tty, resize", "works")

    session = await these.exec(container_id=mine, command="sleep 1000")
    if hasattr(session, "wait_for_ready"):
        await session.wait_for_ready()
    await session.kill()
    assert await asyncio.wait_for(session.result, SECONDS) == 137
    tell("ExecSession", "kill", "works")

    waits = asyncio.create_task(these.wait_for_exit(container_id=mine)) if these.has("wait_for_exit") else None
    await these.stop(container_id=mine, force=True)
    if waits:
        assert isinstance(await waits, int)
    await these.delete(container_id=mine)
    assert mine not in [found.id for found in await raw.list(all=True)]
    if these.has("run_service"):
        await these.run_service(service_id=service_id)
    await refused(raw.stop(container_id="nothing"), "no such container")
    # The session's service runs of it.
    used = next(image for image in await raw.list_images() if IMAGE in names_of(image))
    await refused(these.delete_image(image=used.id if hasattr(used, "id") else tag))
    tell("ContainersClient", "delete_image", "works", "an image in use is refused")


async def participants(client, room):
    """Messages between two, and what they log."""
    other = await joined(client)
    heard = asyncio.get_running_loop().create_future()
    async with other:
        streams = asyncio.get_running_loop().create_future()
        for one in (room, other):
            messages = Watched(one.messaging)
            if messages.has("create_stream"):
                await messages.enable(on_stream_accept=streams.set_result)
            elif messages.has("enable"):
                await messages.enable()
        other.messaging.on("message", lambda message: heard.done() or heard.set_result(message))

        async def met():
            return next((found for found in room.messaging.get_participants() if found.id == other.local_participant.id), None)

        to = await eventually("the other participant", met)
        await Watched(room.messaging).send_message(to=to, type="greeting", message={"text": "hello"})
        message = await asyncio.wait_for(heard, SECONDS)
        assert (message.type, message.message["text"]) == ("greeting", "hello"), message
        await Watched(room.messaging).broadcast_message(type="greeting", message={"text": "all"})
        if hasattr(room.messaging, "create_stream"):
            await streamed(room, to, streams)
        if Watched(room.messaging).has("disable"):
            await Watched(other.messaging).disable()
        await developer(room, other)


async def streamed(room, to, accepted):
    stream = await Watched(room.messaging).create_stream(to=to, header={"a": 1})
    await stream.write(room_server_client.MessageStreamChunk(header={"b": 2}, data=b"\0bytes"))
    await stream.close()
    theirs = await asyncio.wait_for(accepted, SECONDS)
    chunks = [(chunk.header, chunk.data) async for chunk in theirs.read_chunks()]
    assert chunks == [({"b": 2}, b"\0bytes")], chunks


async def developer(room, other):
    watcher, logger = Watched(other.developer), Watched(room.developer)
    logged = asyncio.get_running_loop().create_future()
    if watcher.has("logs"):

        async def first():
            async for event in other.developer.logs():
                return event

        task = asyncio.create_task(first())

        async def heard():
            await room.developer.log(type="walked", data={"a": 1})
            return task.done()

        await eventually("the log event", heard)
        event = await task
        assert event.type == "walked", event
        tell("DeveloperClient", "logs", "works")
        await logger.log(type="walked", data={"a": 1})
    else:
        await watcher.enable()
        other.developer.on("log", lambda **event: logged.done() or logged.set_result(event))
        await logger.log(type="walked", data={"a": 1})
        event = await asyncio.wait_for(logged, SECONDS)
        assert event["type"] == "walked", event
        await watcher.disable()


async def own_secrets(room):
    these = Watched(room.secrets)
    if not these.has("set_secret"):  # before 0.21, which could only look
        assert await these.list_user_secrets() == []
        await refused(room.secrets.delete_user_secret(id="none"), "no such secret")
        tell("SecretsClient", "delete_user_secret", "works")
        return
    await these.set_secret(secret_id="walked", type="text/plain", name="mine", data=b"hush")
    assert [secret.id for secret in await these.list_secrets()] == ["walked"]
    assert (await these.get_secret(secret_id="walked")).data == b"hush"
    if these.has("exists"):
        assert await these.exists(secret_id="walked")
    await these.delete_secret(id="walked")
    assert await these.get_secret(secret_id="walked") is None


async def room_services(room, service_id):
    these = Watched(room.services) if hasattr(room, "services") else None
    if these is None:
        return
    assert [service.id for service in await these.list()] == [service_id]
    state = await these.list_with_state()
    assert state.service_states[service_id].state, state
    await these.restart(service_id=service_id)
    await refused(room.services.restart(service_id="00000000-0000-4000-8000-000000000000"))


async def the_rest(of, known):
    """Each call that was not made yet must be told that it is not offered."""
    area = type(of).__name__
    for name, function in inspect.getmembers(type(of), inspect.isfunction):
        call = f"{area}.{name}"
        if name.startswith("_") or call in seen or call in PLUMBING or name in LOCAL:
            continue
        streams = inspect.isasyncgenfunction(function)
        if not streams and not inspect.iscoroutinefunction(function):
            continue
        await not_offered(area, name, getattr(of, name), fill.arguments(function, known | GIVEN.get(call, {})), streams)


async def not_offered(area, name, function, given, streams):
    async def made():
        if not streams:
            return await function(**given)
        async for part in function(**given):
            return part

    try:
        answer = await asyncio.wait_for(made(), 10)
    except TimeoutError:
        fail(area, name, "it never ends")
    except Exception as error:
        said = str(error)
        if is_refusal(error) and ("not offered" in said or "not_offered" in said):
            tell(area, name, "not offered")
        else:
            fail(area, name, f"{type(error).__name__}: {said}")
    else:
        fail(area, name, f"it was answered: {answer!r}")


def parts(room):
    """The clients of a room's tools."""
    names = [name for name in dir(room) if not name.startswith("_")]
    found = [getattr(room, name, None) for name in names]
    return [part for part in found if type(part).__module__ == room_server_client.__name__ and type(part).__name__.endswith("Client")]


async def walk():
    client = Watched(rest.Meshagent(base_url=os.environ["MESHAGENT_API_URL"], token=os.environ["MESHAGENT_API_KEY"]))
    await projects(client)
    await rooms(client)
    pull, keys = await secrets(client)
    service_id = await services(client, pull, keys)
    room = await joined(client)
    async with room:
        tell("RoomClient", "enter", "works")
        session = room.session_id
        await sessions(client, session)
        await containers(room, service_id)
        await room_services(room, service_id)
        await participants(client, room)
        await own_secrets(room)
        assert await Watched(room.agents).list_toolkits() == []
        if hasattr(room, "list_toolkits"):
            assert await Watched(room).list_toolkits() == []
        for part in parts(room):
            await the_rest(part, {})
        await the_rest(room, {})
    tell("RoomClient", "leave", "works")
    # It is still there: a participant that left is waited for.
    await client.terminate(PROJECT, session)
    await eventually("the end", lambda: ended(client.of, session))
    await the_rest(client.of, {"project_id": PROJECT, "room_name": "walk"})
    await refused(client.of.delete_secret(project_id=PROJECT, secret_id=pull), "walker")
    await client.close()


async def ended(client, session):
    return session not in [found.id for found in await client.list_active_sessions(PROJECT)]


try:
    asyncio.run(walk())
except BaseException:
    traceback.print_exc()
    sys.exit(1)
if wrong:
    sys.exit(f"{len(wrong)} calls do not end as they should: {', '.join(wrong)}")
