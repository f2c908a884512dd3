//! The schemas of requests and answers, written as compactly as JSON Schema allows.
//!
//! `core::wire` has the types; it stays free of documentation libraries. A test writes one of each answer and compares
//! members.

use serde_json::{Map, Value, json};

/// All, by name.
pub(super) fn all() -> Map<String, Value> {
    let groups = [projects(), secrets(), services(), rooms(), sessions()];
    groups.into_iter().flatten().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

type Group = Vec<(&'static str, Value)>;

/// An object of these members; a name that ends with `?` may be absent.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let required: Vec<_> = members.iter().map(|(name, _)| *name).filter(|name| !name.ends_with('?')).collect();
    let properties: Map<_, _> =
        members.iter().map(|(name, schema)| (name.trim_end_matches('?').to_owned(), schema.clone())).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn about(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn id() -> Value {
    json!({"type": "string", "format": "uuid"})
}

fn time() -> Value {
    json!({"type": "string", "format": "date-time"})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn number() -> Value {
    json!({"type": "integer"})
}

fn any_object() -> Value {
    json!({"type": "object"})
}

fn map() -> Value {
    json!({"type": "object", "additionalProperties": {"type": "string"}})
}

fn one_of<const N: usize>(words: [&str; N]) -> Value {
    json!({"type": "string", "enum": words.as_slice()})
}

fn list_of(schema: &str) -> Value {
    json!({"type": "array", "items": of(schema)})
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn of(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

fn or_null(schema: Value) -> Value {
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn role() -> Value {
    one_of(["member", "developer", "admin"])
}

fn kind() -> Value {
    one_of(["keys", "docker"])
}

fn projects() -> Group {
    vec![
        ("Error", object([("error", of("ErrorDetail"))])),
        (
            "ErrorDetail",
            object([
                ("code", about("A stable word for programs")),
                ("message", about("What was refused and why")),
                ("hint", about("What to do next; may be empty")),
                ("request_id", about("Under which the server's log knows the request")),
            ]),
        ),
        ("Project", object([("id", id()), ("name", text())])),
        ("ProjectList", object([("projects", list_of("Project"))])),
        ("ProjectStatus", object([("enabled", flag())])),
        ("RoleAnswer", object([("role", role())])),
        (
            "ApiKeyCreate",
            object([
                ("name", text()),
                ("description?", text()),
                ("role?", role()),
                ("bind?", json!({"type": "boolean", "description": "May bind secrets to services"})),
            ]),
        ),
        (
            "ApiKey",
            object([
                ("id", id()),
                ("name", text()),
                ("description", text()),
                ("role", role()),
                ("bind", flag()),
                ("created_at", time()),
            ]),
        ),
        ("ApiKeyList", object([("keys", list_of("ApiKey"))])),
        (
            "ApiKeyCreated",
            object([
                ("id", id()),
                ("name", text()),
                ("description", text()),
                ("value", about("The whole key, shown this once")),
                ("role", role()),
                ("bind", flag()),
            ]),
        ),
    ]
}

fn secrets() -> Group {
    vec![
        (
            "SecretWrite",
            object([
                ("name", text()),
                ("type", kind()),
                (
                    "data?",
                    json!({
                        "type": "object", "additionalProperties": {"type": "string"},
                        "description": "Entries; for `docker`: server, username, password and optionally email. \
                            Exactly one of `data` and `data_base64` must be there.",
                    }),
                ),
                ("data_base64?", about("The same map as base64 of its JSON text")),
                ("id?", about("Ignored")),
            ]),
        ),
        ("SecretPatch", object([("name?", text()), ("set?", map()), ("unset?", texts())])),
        ("Rollback", object([("version", number())])),
        (
            "SecretSaved",
            object([
                ("id", id()),
                ("name", text()),
                ("type", kind()),
                ("version", number()),
                ("applies", about("When this save applies, one sentence")),
                ("sessions_on_older", number()),
                ("warnings?", texts()),
            ]),
        ),
        (
            "SecretItem",
            object([
                ("id", id()),
                ("name", text()),
                ("type", kind()),
                (
                    "data",
                    json!({
                        "type": "object", "additionalProperties": {"type": "string"},
                        "description": "Entry names with `[redacted]`; values only with `reveal=true`",
                    }),
                ),
                ("version?", number()),
                ("created_at?", time()),
                ("updated_at?", time()),
                ("updated_by?", text()),
                ("used_by?", texts()),
            ]),
        ),
        ("SecretList", object([("secrets", list_of("SecretItem"))])),
        (
            "SecretVersion",
            object([("version", number()), ("created_at", time()), ("created_by", text()), ("entries", texts())]),
        ),
        ("SecretVersions", object([("versions", list_of("SecretVersion"))])),
        ("SecretUsage", object([("services", texts())])),
    ]
}

fn services() -> Group {
    vec![
        (
            "ServiceSpec",
            object([
                ("version", json!({"const": "v1"})),
                ("kind", json!({"const": "Service"})),
                ("id?", about("Set by the server")),
                ("metadata", any_object()),
                ("agents?", json!({"type": "array", "items": {"type": "object"}})),
                ("ports?", json!({"type": "array", "items": {"type": "object"}})),
                ("container?", any_object()),
                ("external?", any_object()),
            ]),
        ),
        ("ServiceList", object([("services", list_of("ServiceSpec"))])),
    ]
}

fn rooms() -> Group {
    vec![
        (
            "RoomCreate",
            object([
                ("name", about("1 to 63 of a-z, 0-9 and '-', alphanumeric ends")),
                ("if_not_exists?", flag()),
                ("metadata?", any_object()),
                ("annotations?", map()),
                ("permissions?", json!({"description": "Accepted and without effect"})),
            ]),
        ),
        ("RoomUpdate", object([("name?", text()), ("metadata?", any_object()), ("annotations?", map())])),
        ("Room", object([("id", id()), ("name", text()), ("metadata", any_object()), ("annotations", map())])),
        ("RoomList", object([("rooms", list_of("Room"))])),
        (
            "Connected",
            object([
                ("jwt", about("A participant token")),
                ("room_name", text()),
                ("project_id", id()),
                ("room_url", text()),
            ]),
        ),
    ]
}

fn sessions() -> Group {
    vec![
        (
            "Session",
            object([
                ("id", id()),
                ("room_id", or_null(id())),
                ("room_name", text()),
                ("created_at", time()),
                ("is_active", flag()),
                ("participants", or_null(any_object())),
                ("state", one_of(["starting", "ready", "degraded", "ended"])),
                ("ended_at", or_null(time())),
                ("workloads?", list_of("Workload")),
            ]),
        ),
        ("SessionList", object([("sessions", list_of("Session"))])),
        (
            "Workload",
            object([
                ("id", id()),
                ("service_id", id()),
                ("service_name", text()),
                (
                    "state",
                    one_of(["pending", "pulling", "starting", "running", "ready", "exited", "failed", "stopped"]),
                ),
                ("reason", or_null(of("Reason"))),
                ("exit_code", or_null(number())),
                ("restarts", number()),
                ("restart_at?", time()),
                ("image", text()),
                ("image_digest", or_null(text())),
                ("secrets", list_of("SecretUse")),
                ("pull_secret", or_null(of("SecretUse"))),
                ("started_at", or_null(time())),
                ("progress?", list_of("LayerProgress")),
            ]),
        ),
        ("Reason", object([("code", text()), ("message", text()), ("hint", text())])),
        ("SecretUse", object([("id", id()), ("name", text()), ("version", number()), ("newest?", number())])),
        ("LayerProgress", object([("layer", text()), ("done", number()), ("total", number())])),
        ("Event", object([("type", text()), ("data", any_object()), ("at", time())])),
        ("EventList", object([("events", list_of("Event"))])),
    ]
}
