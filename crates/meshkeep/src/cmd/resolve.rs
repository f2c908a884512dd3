//! From a name or an id, as a person gives it, to the object.
//!
//! An id is taken as it is; a name is looked up in the list of its noun.

use meshkeep_core::{
    id::{ApiKeyId, RoomId, SecretId, ServiceId, SessionId, WorkloadId},
    service::ServiceSpec,
    wire,
};

use crate::{
    client::Client,
    failure::{Exit, Failure},
};

/// The id of a secret.
pub async fn secret_id(client: &Client, text: &str) -> Result<SecretId, Failure> {
    match text.parse() {
        Ok(id) => Ok(id),
        Err(_) => Ok(secret(client, text).await?.id),
    }
}

/// A secret, without values.
pub async fn secret(client: &Client, text: &str) -> Result<wire::SecretItem, Failure> {
    if let Ok(id) = text.parse::<SecretId>() {
        return client.get(&["secrets", &id.to_string()]).await;
    }
    let list: wire::SecretList = client.get(&["secrets"]).await?;
    let found = list.secrets.into_iter().find(|secret| secret.name.as_str() == text);
    found.ok_or_else(|| none("secret", text, "meshkeep secret list"))
}

/// The services of a scope: the project's, or one room's.
pub fn services(room: Option<&str>) -> Vec<&str> {
    room.map_or_else(|| vec!["services"], |room| vec!["rooms", room, "services"])
}

/// The id of a service.
pub async fn service_id(client: &Client, room: Option<&str>, text: &str) -> Result<ServiceId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    match service_named(client, room, text).await? {
        Some(id) => Ok(id),
        None => Err(none("service", text, "meshkeep service list")),
    }
}

/// The id of the service with this `metadata.name`.
pub async fn service_named(client: &Client, room: Option<&str>, name: &str) -> Result<Option<ServiceId>, Failure> {
    let list: wire::ServiceList = client.get(&services(room)).await?;
    let named = |spec: &ServiceSpec| spec.metadata.name == name;
    Ok(list.services.into_iter().find(named).and_then(|spec| spec.id?.parse().ok()))
}

/// A room.
pub async fn room(client: &Client, text: &str) -> Result<wire::Room, Failure> {
    let named = client.get(&["rooms", text]).await;
    match (text.parse::<RoomId>(), named) {
        (Ok(id), Err(failure)) if failure.exit() == Exit::NotFound => {
            let all = rooms(client).await?;
            all.into_iter().find(|room| room.id == id).ok_or(failure)
        }
        (_, named) => named,
    }
}

/// All rooms, page after page.
pub async fn rooms(client: &Client) -> Result<Vec<wire::Room>, Failure> {
    const PAGE: usize = 1000;
    let mut rooms = Vec::new();
    loop {
        let page: wire::RoomList = client
            .call(reqwest::Method::GET, &["rooms"])
            .query("limit", &PAGE.to_string())
            .query("offset", &rooms.len().to_string())
            .answer()
            .await?;
        let last = page.rooms.len() < PAGE;
        rooms.extend(page.rooms);
        if last {
            return Ok(rooms);
        }
    }
}

/// A session, by its id, or the newest one of a room; an active one comes first.
pub async fn session_id(client: &Client, text: &str) -> Result<SessionId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let list: wire::SessionList = client.get(&["sessions"]).await?;
    let of_room = || list.sessions.iter().filter(|session| session.room_name == text);
    let found = of_room().find(|session| session.is_active).or_else(|| of_room().next());
    found.map(|session| session.id).ok_or_else(|| {
        Failure::new(Exit::NotFound, format!("there is no session {text}, and no session of a room of this name"))
            .hint("`meshkeep session list --all` shows what there is")
    })
}

/// A session with its workloads.
pub async fn session(client: &Client, text: &str) -> Result<wire::Session, Failure> {
    let id = session_id(client, text).await?;
    client.get(&["sessions", &id.to_string()]).await
}

/// A session and one of its services: by name or id; the only one when none is given.
pub async fn workload(
    client: &Client,
    session: &str,
    service: Option<&str>,
) -> Result<(SessionId, ServiceId), Failure> {
    if let (Ok(session), Some(Ok(service))) = (session.parse(), service.map(str::parse)) {
        return Ok((session, service));
    }
    let session = self::session(client, session).await?;
    let workloads = session.workloads.unwrap_or_default();
    let names: Vec<_> = workloads.iter().map(|workload| workload.service_name.as_str()).collect();
    let hint =
        if names.is_empty() { "it runs no service".to_owned() } else { format!("it runs: {}", names.join(", ")) };
    let found = match (service, workloads.as_slice()) {
        (Some(text), all) => all.iter().find(|workload| is_called(workload, text)),
        (None, [only]) => Some(only),
        (None, _) => return Err(Failure::usage(format!("which service of session {}?", session.id)).hint(hint)),
    };
    found.map(|workload| (session.id, workload.service_id)).ok_or_else(|| {
        let service = service.unwrap_or_default();
        Failure::new(Exit::NotFound, format!("session {} runs no service {service}", session.id)).hint(hint)
    })
}

fn is_called(workload: &wire::Workload, text: &str) -> bool {
    workload.service_name == text
        || text.parse() == Ok(workload.service_id)
        || text.parse::<WorkloadId>() == Ok(workload.id)
}

/// The id of an API key. Names of keys may repeat.
pub async fn key_id(client: &Client, text: &str) -> Result<ApiKeyId, Failure> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let list: wire::ApiKeyList = client.get(&["api-keys"]).await?;
    let named: Vec<_> = list.keys.iter().filter(|key| key.name == text).map(|key| key.id).collect();
    match named.as_slice() {
        [] => Err(none("key", text, "meshkeep key list")),
        [only] => Ok(*only),
        [..] => {
            let ids: Vec<_> = named.iter().map(ToString::to_string).collect();
            Err(Failure::new(Exit::Conflict, format!("{} keys are called {text}", ids.len()))
                .hint(format!("name one by its id: {}", ids.join(", "))))
        }
    }
}

fn none(noun: &str, name: &str, list: &str) -> Failure {
    Failure::new(Exit::NotFound, format!("there is no {noun} {name} in this project"))
        .hint(format!("`{list}` shows what there is"))
}
