// Drives the public npm client through every call it has, as walk.py does the Python one.
//
//     walk.mjs DIRECTORY IMAGE USER PASSWORD        DIRECTORY has the client in its node_modules
//
// The environment is a user's. One line per call, its parts between tabs; it ends with 1 when anything is otherwise.

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const [directory, IMAGE, USER, PASSWORD] = process.argv.slice(2);
const mesh = createRequire(`${directory}/`)("@meshagent/meshagent");
const PROJECT = process.env.MESHAGENT_PROJECT_ID;
const SECONDS = 60;
const text = new TextDecoder();
const bytes = (of) => new TextEncoder().encode(of);

// What begins or ends something within the client, without a request; and what everything else is made with.
const LOCAL = new Set(["start", "stop", "dispose", "close", "open", "sync", "constructor", "sendRequest", "invoke",
    "invokeWithStreamInput", "invokeStream", "invokeTool", "sendMessageNowait", "on", "off", "getParticipants",
    "getParticipant", "getParticipantByName", "parseSecretPayload", "toSecretPayload", "stream", "emit", "request",
    "drainWriteStream", "expectJsonResponse"]);

const seen = new Map();
const wrong = [];

function tell(area, call, result, remark = "") {
    if (seen.has(`${area}.${call}`)) return;
    seen.set(`${area}.${call}`, result);
    console.log([area, call, result, String(remark).replace(/\s+/g, " ").slice(0, 200)].join("\t"));
}

function fail(area, call, remark) {
    wrong.push(`${area}.${call}`);
    tell(area, call, "fails", remark);
}

// A promise that must come to an end.
function ends(promise, seconds = SECONDS) {
    let timer;
    const late = new Promise((_, refuse) => {
        timer = setTimeout(() => refuse(new Error("it never ends")), seconds * 1000);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// A client whose calls are written down.
function watched(of) {
    const area = of.constructor.name;
    return new Proxy(of, {
        get(of, name) {
            const found = of[name];
            if (typeof found !== "function") return found;
            return (...given) => {
                const result = found.apply(of, given);
                if (!(result instanceof Promise)) {
                    tell(area, name, "works");
                    return result;
                }
                return ends(result).then((answer) => {
                    tell(area, name, "works");
                    return answer;
                });
            };
        },
    });
}

async function refused(promise, word) {
    await assert.rejects(ends(promise), (error) => String(error).includes(word));
}

async function eventually(what, poll) {
    for (let tries = 0; tries < SECONDS * 10; tries++) {
        const answer = await poll();
        if (answer) return answer;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`${what} did not come`);
}

const service = (name, container) => ({
    version: "v1", kind: "Service", metadata: { name }, container: { image: IMAGE, ...container },
});

async function project(client) {
    assert.equal((await client.listProjects()).projects[0].id, PROJECT);
    assert.equal((await client.getProject(PROJECT)).id, PROJECT);
    assert.equal(await client.getProjectRole(PROJECT), "admin");
    assert.equal(await client.getStatus(PROJECT), true);
    const key = await client.createApiKey(PROJECT, "walked", "by the walk");
    assert.ok((await client.listApiKeys(PROJECT)).keys.some((found) => found.id === key.id));
    await client.deleteApiKey(PROJECT, key.id);
}

async function rooms(client) {
    await client.createRoom({ projectId: PROJECT, name: "walk", ifNotExists: true });
    const extra = await client.createRoom({ projectId: PROJECT, name: "walk-extra" });
    await client.updateRoom(PROJECT, extra.id, "walk-other");
    assert.equal((await client.getRoom(PROJECT, "walk-other")).id, extra.id);
    assert.deepEqual((await client.listRooms(PROJECT)).map((room) => room.name), ["walk", "walk-other"]);
    await client.deleteRoom(PROJECT, extra.id);
}

async function secrets(client) {
    const server = IMAGE.split("/")[0];
    await client.createSecret(PROJECT, { name: "walk-pull", type: "docker", server, username: USER, password: PASSWORD, email: "none@example.com" });
    await client.createSecret(PROJECT, { name: "walk-keys", type: "keys", data: { WALKED: "first-value" } });
    const ids = new Map((await client.listProjectSecrets(PROJECT)).map((secret) => [secret.name, secret.id]));
    const [pull, keys] = [ids.get("walk-pull"), ids.get("walk-keys")];
    await client.updateSecret(PROJECT, { id: keys, name: "walk-keys", type: "keys", data: { WALKED: "second value" } });
    const listed = JSON.stringify(await client.listSecrets(PROJECT));
    assert.ok(listed.includes("WALKED") && !listed.includes("second value") && !listed.includes(PASSWORD), listed);
    const made = await client.createProjectSecret({ projectId: PROJECT, name: "walk-extra", type: "keys", data: bytes('{"A":"b"}') });
    await client.updateProjectSecret({ projectId: PROJECT, secretId: made, name: "walk-extra", type: "keys", data: bytes('{"A":"c"}') });
    assert.equal(text.decode((await client.getProjectSecret(PROJECT, made)).data), '{"A":"[redacted]"}');
    await client.deleteProjectSecret(PROJECT, made);
    await client.createSecret(PROJECT, { name: "walk-extra", type: "keys", data: {} });
    const extra = (await client.listProjectSecrets(PROJECT)).find((secret) => secret.name === "walk-extra").id;
    await client.deleteSecret(PROJECT, extra);
    return { pull, keys };
}

async function services(client, { pull, keys }) {
    const told = "sh -c 'trap \"exit 0\" TERM; echo told $WALKED | tr a-z A-Z; sleep 1000 & wait'";
    const spec = service("walker", { pull_secret: pull, secrets: [keys], command: told });
    const id = await client.createService(PROJECT, spec);
    await client.updateService(PROJECT, id, { ...spec, id });
    assert.equal((await client.getService(PROJECT, id)).metadata.name, "walker");
    const extra = await client.createService(PROJECT, service("walk-extra", { pull_secret: pull }));
    assert.equal((await client.listServices(PROJECT)).length, 2);
    await client.deleteService(PROJECT, extra);
    const here = await client.createRoomService(PROJECT, "walk", service("here", { on_demand: true }));
    const there = await client.getRoomService(PROJECT, "walk", here);
    await client.updateRoomService(PROJECT, "walk", here, there);
    assert.deepEqual((await client.listRoomServices(PROJECT, "walk")).map((found) => found.id), [here]);
    await client.deleteRoomService(PROJECT, "walk", here);
    return id;
}

async function joined(client) {
    const connection = await client.connectRoom(PROJECT, "walk");
    const url = mesh.websocketRoomUrl({ roomName: "walk", apiUrl: process.env.MESHAGENT_API_URL });
    const room = new mesh.RoomClient({ protocol: new mesh.WebSocketClientProtocol({ url, token: connection.jwt }) });
    await ends(room.start());
    await ends(room.ready);
    tell("RoomClient", "start", "works");
    return room;
}

async function sessions(client) {
    const active = await client.listActiveSessions(PROJECT);
    assert.deepEqual(active.map((found) => found.roomName), ["walk"]);
    const [{ id }] = active;
    assert.ok((await client.listRecentSessions(PROJECT)).some((found) => found.id === id));
    assert.equal((await client.getSession(PROJECT, id)).room_name, "walk");
    assert.ok((await client.listSessionEvents(PROJECT, id)).length > 0);
    assert.deepEqual(await client.listSessionSpans(PROJECT, id), []);
    assert.deepEqual(await client.listSessionMetrics(PROJECT, id), []);
    return id;
}

async function all(stream) {
    let read = "";
    for await (const part of stream) read += typeof part === "string" ? part : text.decode(part);
    return read;
}

async function containers(room, serviceId) {
    const these = watched(room.containers);
    const credentials = [{ username: USER, password: PASSWORD }];
    const own = await eventually("the service's container", async () =>
        (await room.containers.list({ all: true })).find((found) => found.state === "RUNNING"));
    assert.equal(own.image, IMAGE);
    await these.list();
    const followed = these.logs({ containerId: own.id, follow: true });
    for await (const line of followed.stream) {
        assert.equal(line.trimEnd(), "TOLD SECOND VALUE");
        break;
    }
    await followed.cancel();
    await these.pullImage({ tag: IMAGE, credentials });
    assert.ok((await these.listImages()).length > 0);
    const mine = await these.run({ image: IMAGE, command: "sh -c 'exec sleep 1000'", env: { GIVEN: "a b" }, credentials, name: "mine", private: false });
    const session = these.exec({ containerId: mine, command: "sh -c 'cat; echo $GIVEN; echo err >&2; exit 3'" });
    const [out, err] = [all(session.output), all(session.stderr)];
    await session.write(bytes("typed\n"));
    await session.write(new Uint8Array());
    await ends(Promise.race([session.result, new Promise((resolve) => setTimeout(resolve, 1000))]));
    await session.kill();
    await ends(session.result.catch(() => {}));
    assert.ok((await ends(out)).startsWith("typed\n"), "the input comes back");
    await ends(err);
    const terminal = these.exec({ containerId: mine, command: "sh", tty: true });
    const shown = all(terminal.output);
    await terminal.resize({ width: 91, height: 33 });
    await terminal.write(bytes("stty size; exit 5\n"));
    assert.equal(await ends(terminal.result), 5);
    assert.ok((await shown).includes("33 91"));
    const waits = these.waitForExit({ containerId: mine });
    await these.stop({ containerId: mine, force: true });
    await waits;
    await these.deleteContainer({ containerId: mine });
    await these.runService({ serviceId });
    await refused(room.containers.deleteImage({ image: IMAGE }), "runs this image");
    tell("ContainersClient", "deleteImage", "works", "an image in use is refused");
}

async function participants(client, room) {
    const other = await joined(client);
    const heard = new Promise((resolve) => other.messaging.on("message", ({ message }) => message.type === "greeting" && resolve(message)));
    await watched(room.messaging).enable();
    await other.messaging.enable();
    const to = await eventually("the other", async () =>
        room.messaging.getParticipants().find((found) => found.id === other.localParticipant?.id));
    await watched(room.messaging).sendMessage({ to, type: "greeting", message: { text: "hello" } });
    const message = await ends(heard);
    assert.deepEqual([message.type, message.message.text], ["greeting", "hello"]);
    await watched(room.messaging).broadcastMessage({ type: "greeting", message: { text: "all" } });
    await watched(other.messaging).disable();
    const events = other.developer.logs()[Symbol.asyncIterator]();
    const first = events.next();
    await eventually("the log event", async () => {
        await room.developer.log("walked", { a: 1 });
        return await Promise.race([first.then(() => true), new Promise((resolve) => setTimeout(resolve, 100, false))]);
    });
    assert.equal((await first).value.type, "walked");
    tell("DeveloperClient", "logs", "works");
    await watched(room.developer).log("walked", { a: 1 });
    other.dispose();
}

async function roomParts(room, serviceId) {
    const own = watched(room.services);
    assert.deepEqual((await own.list()).map((found) => found.id), [serviceId]);
    assert.ok((await own.listWithState()).serviceStates[serviceId].state);
    await own.restart({ serviceId });
    const secrets = watched(room.secrets);
    await secrets.setSecret({ secretId: "walked", type: "text/plain", name: "mine", data: bytes("hush") });
    assert.deepEqual((await secrets.listSecrets()).map((found) => found.id), ["walked"]);
    assert.equal(text.decode((await secrets.getSecret({ secretId: "walked" })).data), "hush");
    await secrets.deleteSecret({ secretId: "walked" });
    assert.equal(await secrets.getSecret({ secretId: "walked" }), null);
    assert.deepEqual(await watched(room).listToolkits(), []);
    assert.deepEqual(await watched(room.agents).listToolkits(), []);
}

async function* chunks() {
    yield bytes("x");
}

// Something for each parameter that a call takes apart; its names are read from its text.
const MADE = new Proxy({ projectId: PROJECT, roomName: "walk", data: bytes("x"), start: new Date(), end: new Date(), chunks: chunks(),
    mounts: [], records: [{ a: 1 }], credentials: [], relationships: [], tables: [], schema: {}, permissions: new mesh.ApiScope(), values: { a: 1 }, arguments: {}, payload: {}, timeout: 1, messages: [] }, {
    get: (made, name) => (name in made ? made[name] : typeof name === "string" ? "x" : undefined),
    has: () => true,
});

function madeUp(found) {
    const head = /^(?:async\s*)?\*?\s*\w*\s*\(([\s\S]*?)\)\s*\{/.exec(found.toString());
    const parameters = head ? head[1].replace(/\{[^}]*\}/g, "params").split(",").map((one) => one.trim()).filter(Boolean) : [];
    return parameters.map((one) => (/^params/.test(one) ? MADE : one.includes("=") ? undefined : MADE[one]));
}

async function theRest(of) {
    const area = of.constructor.name;
    for (const name of Object.getOwnPropertyNames(Object.getPrototypeOf(of))) {
        const described = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(of), name);
        const call = `${area}.${name}`;
        const kind = described.value?.constructor.name ?? "";
        if (name.startsWith("_") || LOCAL.has(name) || seen.has(call) || !kind.endsWith("Function")) continue;
        if (/Error$|^(invoke|request|parse|build|decode|encode|to|from|get)(?=$|[A-Z])/.test(name) && kind === "Function") continue;
        try {
            let answer = of[name](...madeUp(described.value));
            if (answer?.[Symbol.asyncIterator]) answer = answer[Symbol.asyncIterator]().next();
            else if (!(answer instanceof Promise)) continue;
            fail(area, name, `it was answered: ${JSON.stringify(await ends(answer, 10))}`);
        } catch (error) {
            if (/not offered|not_offered/.test(String(error))) tell(area, name, "not offered");
            else fail(area, name, error);
        }
    }
}

console.debug = console.log = ((print) => (line) => typeof line === "string" && line.includes("\t") && print(line))(console.log);
const client = new mesh.Meshagent({ baseUrl: process.env.MESHAGENT_API_URL, token: process.env.MESHAGENT_API_KEY });
const calls = watched(client);
await project(calls);
await rooms(calls);
const ids = await secrets(calls);
const serviceId = await services(calls, ids);
const room = await joined(calls);
const session = await sessions(calls);
await containers(room, serviceId);
await roomParts(room, serviceId);
await participants(calls, room);
for (const part of Object.values(room)) {
    if (/Client$/.test(part?.constructor?.name ?? "")) await theRest(part);
}
room.dispose();
tell("RoomClient", "dispose", "works");
await calls.terminateSession(PROJECT, session);
await theRest(client);
if (wrong.length) {
    console.error(`${wrong.length} calls do not end as they should: ${wrong.join(", ")}`);
    process.exit(1);
}
process.exit(0);
