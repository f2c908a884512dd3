//! The schemas of requests and answers, written as compactly as JSON Schema allows.
//!
//! `core::wire` has the types; it stays free of documentation libraries. A test writes one of each answer and compares
//! members.

use serde_json::{Map, Value, json};

/// All, by name.
pub(super) fn all() -> Map<String, Value> {
    let groups = [projects(), secrets(), deleted_secrets(), services(), rooms(), sessions(), audit()];
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
        ("Project", object([("id", id()), ("name", text()), ("project_key", id())])),
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
            "PullTest",
            object([
                ("secret_id?", about("A stored pull secret; or else the next three")),
                ("server?", text()),
                ("username?", text()),
                ("password?", text()),
                ("image", about("Nothing but its manifest is asked for")),
            ]),
        ),
        (
            "PullTested",
            object([
                ("ok", flag()),
                ("code", about("`ok`, or the code with which a launch would fail")),
                ("message", text()),
                ("hint?", text()),
            ]),
        ),
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
                ("damaged?", flag()),
                ("data_base64?", about("`data` as base64 of its JSON text")),
            ]),
        ),
        ("SecretList", object([("secrets", list_of("SecretItem"))])),
        (
            "SecretVersion",
            object([
                ("version", number()),
                ("created_at", time()),
                ("created_by", text()),
                ("entries", texts()),
                ("changes?", json!({"$ref": "#/components/schemas/VersionChanges"})),
            ]),
        ),
        ("VersionChanges", object([("added", texts()), ("changed", texts()), ("removed", texts())])),
        ("SecretVersions", object([("versions", list_of("SecretVersion"))])),
    ]
}

fn deleted_secrets() -> Group {
    vec![
        ("SecretUsage", object([("services", texts()), ("after_delete", texts())])),
        ("DeletedSecretList", object([("secrets", list_of("DeletedSecret"))])),
        (
            "DeletedSecret",
            object([
                ("id", id()),
                ("name", text()),
                ("type", kind()),
                ("version", number()),
                ("deleted_at", time()),
                ("deleted_by", text()),
                ("kept_until", time()),
            ]),
        ),
        ("SecretRestore", object([("name?", text())])),
    ]
}

fn audit() -> Group {
    vec![
        ("AuditList", object([("rows", list_of("AuditRow"))])),
        (
            "AuditRow",
            object([
                ("seq", number()),
                ("at", time()),
                ("actor", text()),
                ("action", text()),
                ("object", text()),
                ("origin", text()),
                ("outcome", about("`done`, or `refused: ` and the refusal's code")),
            ]),
        ),
        ("AuditVerified", object([("fits", flag()), ("first_wrong?", number())])),
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
                ("files?", about("Not offered")),
                ("container?", any_object()),
                ("external?", any_object()),
            ]),
        ),
        ("TemplateWrite", object([("template", about("YAML with Jinja2")), ("values", map())])),
        (
            "TemplateSpec",
            object([
                ("version", json!({"const": "v1"})),
                ("kind", json!({"const": "ServiceTemplate"})),
                ("metadata", any_object()),
                ("agents?", json!({"type": "array", "items": {"type": "object"}})),
                ("variables?", json!({"type": "array", "items": {"type": "object"}})),
                ("ports?", json!({"type": "array", "items": {"type": "object"}})),
                ("container?", any_object()),
                ("external?", any_object()),
            ]),
        ),
        ("ServiceList", object([("services", list_of("ServiceSpec"))])),
        (
            "RollingRestart",
            object([
                ("id", id()),
                ("service_id", id()),
                ("service_name", text()),
                ("state", one_of(["running", "done", "stopped"])),
                ("started_by", text()),
                ("created_at", time()),
                ("ended_at", or_null(time())),
                ("sessions", list_of("RestartStep")),
                ("hint?", about("What to do next, when it stopped")),
            ]),
        ),
        (
            "RestartStep",
            object([
                ("session_id", id()),
                ("room_name", text()),
                ("outcome", one_of(["pending", "restarting", "ready", "failed", "skipped"])),
                ("reason?", of("Reason")),
            ]),
        ),
        ("EnvironmentPreview", object([("variables", list_of("PreviewedVariable"))])),
        (
            "PreviewedVariable",
            object([
                ("name", text()),
                ("from", one_of(["image", "platform", "secret", "manifest"])),
                ("secret?", about("The secret key's name, with `from: secret`")),
                (
                    "hides?",
                    json!({"type": "array", "items": {"type": "object"}, "description": "Likewise, lowest first"}),
                ),
            ]),
        ),
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
                ("further_pull_secrets?", list_of("SecretUse")),
                ("started_at", or_null(time())),
                ("progress?", list_of("LayerProgress")),
            ]),
        ),
        ("Reason", object([("code", text()), ("message", text()), ("hint", text())])),
        (
            "SecretUse",
            object([("id", id()), ("name", text()), ("version", number()), ("newest?", number()), ("opens?", text())]),
        ),
        ("LayerProgress", object([("layer", text()), ("done", number()), ("total", number())])),
        ("Event", object([("type", text()), ("data", any_object()), ("at", time())])),
        ("EventList", object([("events", list_of("Event"))])),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use meshkeep_core::{
        SecretText, Timestamp,
        access::Role,
        id::{ApiKeyId, ProjectId, RoomId, SecretId, ServiceId, SessionId, WorkloadId},
        secret::SecretKind,
        wire,
        workload::SessionState,
    };
    use serde::Serialize;
    use uuid::Uuid;

    use super::*;

    /// What the type writes when everything optional is there, against the schema's members.
    fn compare(schema: &str, written: impl Serialize) {
        let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let written = serde_json::to_value(written).unwrap();
        assert_eq!(members(&written), members(&all()[schema]["properties"]), "{schema}");
    }

    const TIME: Timestamp = Timestamp::from_millis(0);

    #[test]
    fn projects_and_keys_are_as_documented() {
        let (id, project) = (ApiKeyId::from_uuid(Uuid::nil()), ProjectId::from_uuid(Uuid::nil()));
        let (role, bind, name) = (Role::Admin, true, String::new);
        compare("Project", wire::Project::new(project, name()));
        compare("ProjectList", wire::ProjectList { projects: vec![] });
        compare("RoleAnswer", wire::RoleAnswer { role });
        let value = SecretText::default();
        compare("ApiKeyCreated", wire::ApiKeyCreated { id, name: name(), description: name(), value, role, bind });
        let create = wire::ApiKeyCreate { name: name(), description: Some(name()), role: Some(role), bind: Some(bind) };
        compare("ApiKeyCreate", create);
        compare("ApiKey", wire::ApiKey { id, name: name(), description: name(), role, bind, created_at: TIME });
        compare("ApiKeyList", wire::ApiKeyList { keys: vec![] });
        let detail = wire::ErrorDetail { code: name(), message: name(), hint: name(), request_id: name() };
        compare("ErrorDetail", &detail);
        compare("Error", wire::ErrorBody { error: detail });
    }

    #[test]
    fn secrets_are_as_documented() {
        let (id, kind) = (SecretId::from_uuid(Uuid::nil()), SecretKind::Keys);
        let name: meshkeep_core::name::SecretName = "n".parse().unwrap();
        let text = String::new;
        compare(
            "SecretWrite",
            wire::SecretWrite {
                id: Some(text()),
                name: text(),
                kind: text(),
                data: Some(Default::default()),
                data_base64: Some(SecretText::default()),
            },
        );
        let unset = vec![text()];
        compare("SecretPatch", wire::SecretPatch { name: Some(text()), set: Some(Default::default()), unset });
        compare(
            "SecretSaved",
            wire::SecretSaved {
                id,
                name: name.clone(),
                kind,
                version: 1,
                applies: text(),
                sessions_on_older: 0,
                warnings: vec![text()],
            },
        );
        let detail = wire::SecretDetail {
            version: 1,
            created_at: TIME,
            updated_at: TIME,
            updated_by: text(),
            used_by: vec![],
            damaged: true,
            data_base64: text(),
        };
        compare("SecretUsage", wire::SecretUsage { services: vec![], after_delete: vec![] });
        compare("SecretRestore", wire::SecretRestore { name: Some(text()) });
        let deleted = wire::DeletedSecret {
            id,
            name: name.clone(),
            kind,
            version: 1,
            deleted_at: TIME,
            deleted_by: text(),
            kept_until: TIME,
        };
        compare("DeletedSecretList", wire::DeletedSecretList { secrets: vec![deleted.clone()] });
        compare("DeletedSecret", deleted);
        compare("SecretItem", wire::SecretItem { id, name, kind, data: Default::default(), detail: Some(detail) });
        compare("SecretList", wire::SecretList { secrets: vec![] });
        compare("SecretVersions", wire::SecretVersions { versions: vec![] });
        let changes = Some(wire::VersionChanges::default());
        compare("VersionChanges", &changes);
        let version =
            wire::SecretVersion { version: 1, created_at: TIME, created_by: text(), entries: vec![], changes };
        compare("SecretVersion", version);
    }

    #[test]
    fn the_audit_is_as_documented() {
        let text = String::new;
        compare("AuditList", wire::AuditList { rows: vec![] });
        compare(
            "AuditRow",
            wire::AuditRow {
                seq: 1,
                at: TIME,
                actor: text(),
                action: text(),
                object: text(),
                origin: text(),
                outcome: text(),
            },
        );
        compare("AuditVerified", wire::AuditVerified { fits: false, first_wrong: Some(1) });
    }

    #[test]
    fn rooms_and_sessions_are_as_documented() {
        let (room, text) = (RoomId::from_uuid(Uuid::nil()), String::new);
        let metadata = Map::new;
        compare("Room", wire::Room { id: room, name: text(), metadata: metadata(), annotations: Default::default() });
        compare("RoomList", wire::RoomList { rooms: vec![] });
        compare("RoomCreate", wire::RoomCreate::default());
        compare("RoomUpdate", wire::RoomUpdate::default());
        compare(
            "Connected",
            wire::Connected {
                jwt: SecretText::default(),
                room_name: text(),
                project_id: ProjectId::from_uuid(Uuid::nil()),
                room_url: text(),
            },
        );
        let secret = wire::SecretUse {
            id: SecretId::from_uuid(Uuid::nil()),
            name: "n".parse().unwrap(),
            version: 1,
            newest: Some(2),
            opens: Some(text()),
        };
        compare("SecretUse", &secret);
        let progress = wire::LayerProgress { layer: text(), done: 0, total: 0 };
        compare("LayerProgress", &progress);
        compare("Reason", wire::Reason { code: text(), message: text(), hint: text() });
        compare(
            "Workload",
            wire::Workload {
                id: WorkloadId::from_uuid(Uuid::nil()),
                service_id: ServiceId::from_uuid(Uuid::nil()),
                service_name: text(),
                state: text(),
                reason: None,
                exit_code: None,
                restarts: 0,
                restart_at: Some(TIME),
                image: text(),
                image_digest: None,
                secrets: vec![],
                pull_secret: None,
                further_pull_secrets: vec![secret.clone()],
                started_at: None,
                progress: vec![progress],
            },
        );
        compare(
            "Session",
            wire::Session {
                id: SessionId::from_uuid(Uuid::nil()),
                room_id: None,
                room_name: text(),
                created_at: TIME,
                is_active: true,
                participants: None,
                state: SessionState::Ready,
                ended_at: None,
                workloads: Some(vec![]),
            },
        );
        compare("SessionList", wire::SessionList { sessions: vec![] });
        compare("Event", wire::Event { kind: text(), data: Value::Null, at: TIME });
        compare("EventList", wire::EventList { events: vec![] });
        compare("ServiceList", wire::ServiceList { services: vec![] });
    }
}
