//! Temporary.
#![expect(unused_variables, reason = "stands in until control is there")]
use bytes::Bytes;
use futures_util::stream::BoxStream;
use meshkeep_core::{Refusal, RefusalKind, access::*, id::*, name::RoomName, service::ServiceSpec, wire};
#[derive(Clone)]
pub struct Control;
#[derive(Clone, Default)]
pub struct Origin {
    pub address: String,
    pub request_id: String,
}
pub struct Caller;
impl Caller {
    pub fn may(&self, p: ProjectId, a: Action) -> Result<(), Refusal> {
        Ok(())
    }
    pub fn log_id(&self) -> String {
        String::new()
    }
}
pub enum Scope {
    Project,
    Room(RoomName),
}
fn no<T>() -> Result<T, Refusal> {
    Err(Refusal::new(RefusalKind::Broken, "x", "x"))
}
macro_rules! ops { ($($n:ident($($a:ident: $t:ty),*) -> $r:ty;)+) => { impl Control { $(pub async fn $n(&self, caller: &Caller, $($a: $t),*) -> Result<$r, Refusal> { no() })+
 pub async fn ready(&self) -> Result<(), Refusal> { Ok(()) }
 pub async fn authenticate(&self, b: Option<&str>, o: Origin) -> Result<Caller, Refusal> { no() } } } }
ops! {
 projects() -> wire::ProjectList; project(p: ProjectId) -> wire::Project; role(p: ProjectId) -> wire::RoleAnswer;
 create_api_key(p: ProjectId, a: wire::ApiKeyCreate) -> wire::ApiKeyCreated; list_api_keys(p: ProjectId) -> wire::ApiKeyList; delete_api_key(p: ProjectId, k: ApiKeyId) -> ();
 create_secret(p: ProjectId, w: wire::SecretWrite) -> wire::SecretSaved; save_secret(p: ProjectId, s: SecretId, w: wire::SecretWrite, v: Option<u32>) -> wire::SecretSaved;
 patch_secret(p: ProjectId, s: SecretId, w: wire::SecretPatch, v: Option<u32>) -> wire::SecretSaved; list_secrets(p: ProjectId, d: bool) -> wire::SecretList; secret(p: ProjectId, s: SecretId) -> wire::SecretItem;
 reveal_secret(p: ProjectId, s: SecretId) -> wire::SecretRevealed; secret_versions(p: ProjectId, s: SecretId) -> wire::SecretVersions; rollback_secret(p: ProjectId, s: SecretId, v: u32) -> wire::SecretSaved;
 secret_usage(p: ProjectId, s: SecretId) -> Vec<String>; delete_secret(p: ProjectId, s: SecretId, f: bool) -> ();
 create_service(p: ProjectId, s: Scope, m: ServiceSpec) -> ServiceSpec; update_service(p: ProjectId, s: Scope, i: ServiceId, m: ServiceSpec) -> ServiceSpec; service(p: ProjectId, s: Scope, i: ServiceId) -> ServiceSpec;
 list_services(p: ProjectId, s: Scope) -> wire::ServiceList; delete_service(p: ProjectId, s: Scope, i: ServiceId) -> ();
 create_room(p: ProjectId, r: wire::RoomCreate) -> (wire::Room, bool); list_rooms(p: ProjectId, l: u32, o: u32) -> wire::RoomList; room(p: ProjectId, r: RoomName) -> wire::Room; update_room(p: ProjectId, r: RoomId, u: wire::RoomUpdate) -> wire::Room;
 delete_room(p: ProjectId, r: RoomId) -> (); connect_room(p: ProjectId, r: RoomName) -> wire::Connected;
 launch_session(p: ProjectId, r: RoomName) -> (wire::Session, bool); list_sessions(p: ProjectId, a: bool) -> wire::SessionList; session(p: ProjectId, s: SessionId) -> wire::Session; session_events(p: ProjectId, s: SessionId) -> wire::EventList;
 terminate_session(p: ProjectId, s: SessionId) -> (); terminate_all(p: ProjectId) -> (); restart_service(p: ProjectId, s: SessionId, i: ServiceId) -> ();
 service_logs(p: ProjectId, s: SessionId, i: ServiceId, t: Option<usize>, f: bool) -> BoxStream<'static, Result<Bytes, Refusal>>;
}
