//! `/openapi.json`: paths from the router's own table, schemas kept by hand beside it.
//!
//! What must stay true (tests): every route is a path here and the other way round, every schema that a route names
//! exists, and each schema's members are those that the wire type really writes.

mod schemas;

use meshkeep_core::access::{Grant, Role, allows};
use serde_json::{Map, Value, json};

use crate::{
    api,
    route::{Needs, RouteInfo},
};

/// The document.
pub(crate) fn document() -> Value {
    let mut paths = Map::new();
    for route in api::routes() {
        let operations = paths.entry(documented(route.info.path)).or_insert_with(|| json!({}));
        operations[route.info.method.to_ascii_lowercase()] = operation(&route.info);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "meshkeep",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Runs containerised services in sessions and gives each exactly its own secrets. \
                Paths and shapes are MeshAgent's where MeshAgent has them.",
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {
                "type": "http", "scheme": "bearer",
                "description": "An API key (`ma-…`), or a participant token that one signed.",
            }},
            "responses": {"Refused": {
                "description": "What was refused, why, and what to do next",
                "content": {"application/json": {"schema": reference("Error")}},
            }},
            "schemas": schemas::all(),
        },
    })
}

/// OpenAPI knows no parameter that takes the rest of a path.
fn documented(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation(info: &RouteInfo) -> Value {
    let mut operation = json!({
        "summary": info.summary,
        "operationId": operation_id(info),
        "description": who(info.needs),
        "responses": responses(info),
    });
    if info.needs == Needs::Nothing {
        operation["security"] = json!([]);
    }
    let parameters = parameters(info);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(schema) = info.takes {
        operation["requestBody"] = json!({"required": true, "content": content(schema)});
    }
    operation
}

fn responses(info: &RouteInfo) -> Value {
    let mut responses = Map::new();
    if info.offered {
        let mut success = json!({"description": info.summary});
        if let Some(schema) = info.answers {
            success["content"] = content(schema);
        }
        responses.insert(info.status.to_string(), success);
    }
    responses.insert("default".to_owned(), json!({"$ref": "#/components/responses/Refused"}));
    responses.into()
}

fn parameters(info: &RouteInfo) -> Vec<Value> {
    let in_path = info.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = in_path.map(|name| name.trim_start_matches('*'));
    let in_path =
        in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = info.query.iter().map(|name| {
        let schema = match *name {
            "after" | "limit" | "offset" | "tail" => json!({"type": "integer", "minimum": 0}),
            "token" | "v" => json!({"type": "string"}),
            "order_by" => json!({"const": "room_name"}),
            _ => json!({"type": "boolean", "default": false}),
        };
        json!({"name": name, "in": "query", "schema": schema})
    });
    in_path.chain(in_query).collect()
}

fn content(schema: &str) -> Value {
    match schema {
        "text/plain" | "text/yaml" => json!({schema: {"schema": {"type": "string"}}}),
        "application/json" | "*/*" => json!({schema: {}}),
        name => json!({"application/json": {"schema": reference(name)}}),
    }
}

fn reference(schema: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{schema}")})
}

/// `getAccountsProjectsSecretsBySecret` and the like: unique, because method and path are.
fn operation_id(info: &RouteInfo) -> String {
    let mut id = info.method.to_ascii_lowercase();
    for part in info.path.split(['/', '-', '.']).filter(|part| !part.is_empty()) {
        let parameter = part.strip_prefix('{').map(|name| name.trim_matches(['*', '}']));
        let (prefix, word) = parameter.map_or(("", part), |name| ("By", name));
        let mut letters = word.chars();
        id.push_str(prefix);
        id.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        id.extend(letters);
    }
    // The same with one more slash.
    if info.path.starts_with("//") || info.path.ends_with('/') { format!("{id}Again") } else { id }
}

/// Read from the rule itself, so that the document cannot say otherwise.
fn who(needs: Needs) -> String {
    match needs {
        Needs::Nothing => "Needs no credential.".to_owned(),
        Needs::Credential => "Needs any good credential.".to_owned(),
        Needs::Token => "Needs a participant token of the room.".to_owned(),
        Needs::May(action) => {
            let may = |role, bind| allows(Grant { role, bind }, action);
            let least = match (may(Role::Member, false), may(Role::Developer, false), may(Role::Developer, true)) {
                (true, ..) => "`member`",
                (_, true, _) => "`developer`",
                (.., true) => "`developer` with the bind right",
                _ => "`admin`",
            };
            format!("Needs a credential of the project with at least the role {least}.")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reference_has_its_schema_and_every_schema_is_referred_to() {
        let document = document();
        let mut named = BTreeSet::new();
        collect(&document, &mut named);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        let known: BTreeSet<_> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
        named.remove("#/components/responses/Refused");
        assert_eq!(named, known);
    }

    fn collect(value: &Value, named: &mut BTreeSet<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(target)) = map.get("$ref") {
                    named.insert(target.clone());
                }
                map.values().for_each(|value| collect(value, named));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, named)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_there_once_with_an_id_of_its_own() {
        let document = document();
        let mut ids = BTreeSet::new();
        let routes = api::routes();
        for route in &routes {
            let operation = &document["paths"][documented(route.info.path)][route.info.method.to_ascii_lowercase()];
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{} has no summary", route.info.path);
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{operation}");
        }
        let documented: usize =
            document["paths"].as_object().unwrap().values().map(|p| p.as_object().unwrap().len()).sum();
        assert_eq!(documented, routes.len());
    }
}
