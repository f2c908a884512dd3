//! Services that are kept at a version of a secret, or at an image, and what they would find in their environment.

use meshkeep_control::Scope;
use meshkeep_core::{Refusal, access::Role, id::ServiceId, manifest, service::ServiceSpec, wire};
use serde_json::{Value, json};

use crate::world::{World, of};

fn keeping(world: &World, container: Value, versions: &str) -> ServiceSpec {
    let mut spec = world.spec("weather", container);
    spec.metadata.annotations.insert(manifest::VERSIONS.to_owned(), versions.to_owned());
    spec
}

async fn saved(world: &World, service: ServiceId, spec: ServiceSpec) -> Result<ServiceSpec, Refusal> {
    world.control.update_service(&world.admin, world.project, Scope::Project, service, spec).await
}

#[tokio::test]
async fn a_version_that_a_service_keeps_is_launched_and_never_pruned() {
    let world = World::new().await;
    let secret = world.secret("s", json!({"A": "version-1"})).await;
    world.save_secret(secret, "s", json!({"A": "version-2"})).await;
    let container = json!({"secrets": [secret]});
    let service = world.service_of(keeping(&world, container.clone(), &format!("{secret}=1"))).await;
    // Twenty are kept otherwise.
    for version in 3..=30 {
        world.save_secret(secret, "s", json!({"A": format!("version-{version}")})).await;
    }
    let value = async |session, start: usize| {
        world.until_state(session, "weather", "ready").await;
        let start = world.engine.started("weather", start).await;
        start.environment.0.iter().find(|v| v.name.as_str() == "A").unwrap().value.expose().to_owned()
    };
    let session = world.launch().await.id;
    assert_eq!(value(session, 1).await, "version-1");
    let used = of(&world.session(session).await, "weather").secrets[0].clone();
    assert_eq!((used.version, used.newest), (1, Some(30)));

    // Without the annotation it follows the newest, and nothing keeps the old version any more.
    saved(&world, service, world.spec("weather", container.clone())).await.unwrap();
    world.terminate(session).await;
    let session = world.launch().await.id;
    assert_eq!(value(session, 2).await, "version-30");
    world.save_secret(secret, "s", json!({"A": "version-31"})).await;
    let refusal = saved(&world, service, keeping(&world, container, &format!("{secret}=1"))).await.unwrap_err();
    assert!(refusal.message.contains("version 1 of s, which is not there"), "{refusal}");
    world.end().await;
}

#[tokio::test]
async fn an_image_is_pinned_with_the_services_own_pull_secret_and_followed_again() {
    let world = World::new().await;
    let pull = world.pull_secret("correct-horse").await;
    let image = world.registry.private();
    let service = world.service("weather", json!({"image": image, "pull_secret": pull})).await;
    let shown = |spec: &ServiceSpec| spec.container.as_ref().unwrap().image.clone();
    let (control, project) = (&world.control, world.project);
    let pinned = control.pin_service(&world.admin, project, Scope::Project, service).await.unwrap();
    assert!(shown(&pinned).starts_with(&format!("{image}@sha256:")), "{}", shown(&pinned));
    let session = world.launch().await.id;
    let digest = world.until_state(session, "weather", "ready").await.image_digest.unwrap();
    assert_eq!(shown(&pinned), format!("{image}@{digest}"));
    let again = control.pin_service(&world.admin, project, Scope::Project, service).await.unwrap();
    assert_eq!(shown(&again), shown(&pinned));
    let followed = control.unpin_service(&world.admin, project, Scope::Project, service).await.unwrap();
    assert_eq!(shown(&followed), image);

    let unbound = world.caller(Role::Developer, false).await;
    control.pin_service(&unbound, project, Scope::Project, service).await.unwrap_err();
    let values = json!({"environment": [{"name": "API_TOKEN", "value": "value-of-token"}]});
    let sealed = world.service("sealed", values).await;
    for service in [service, sealed] {
        for pins in [true, false] {
            let refusal = match pins {
                true => control.pin_service(&unbound, project, Scope::Project, service).await.unwrap_err(),
                false => control.unpin_service(&unbound, project, Scope::Project, service).await.unwrap_err(),
            };
            assert_eq!(refusal.kind, meshkeep_core::RefusalKind::Forbidden, "{refusal}");
        }
    }
    let rows = control.audit(&world.admin, project, None, None).await.unwrap().rows;
    let refused =
        rows.iter().filter(|row| row.action == "service.pin" && row.outcome == "refused: not_allowed").count();
    assert_eq!(refused, 3, "each attempt to pin is in the audit");
    let bare = world.service("bare", json!({"image": image})).await;
    let refusal = control.pin_service(&world.admin, project, Scope::Project, bare).await.unwrap_err();
    assert_eq!(refusal.code, "no_credential");
    let tagless = format!("{}@{digest}", image.strip_suffix(":1").unwrap());
    let tagless = world.service("tagless", json!({"image": tagless, "pull_secret": pull})).await;
    let refusal = control.unpin_service(&world.admin, project, Scope::Project, tagless).await.unwrap_err();
    assert!(refusal.message.contains("no tag"), "{refusal}");
    world.end().await;
}

#[tokio::test]
async fn a_preview_shows_winners_and_losers_and_no_value() {
    let world = World::new().await;
    let one = world.secret("one", json!({"A": "value-one", "B": "value-one"})).await;
    let two = world.secret("two", json!({"B": "value-two"})).await;
    let mut spec = world.spec(
        "weather",
        json!({
            "secrets": [one, two],
            "environment": [{"name": "B", "value": "value-three"}, {"name": "MESHAGENT_ROOM", "value": "x"}],
        }),
    );
    let preview = async |spec: &ServiceSpec| {
        world.control.preview_environment(&world.admin, world.project, Scope::Project, spec).await
    };
    let shown = serde_json::to_value(preview(&spec).await.unwrap()).unwrap();
    assert!(!shown.to_string().contains("value-"), "{shown}");
    let secret = |name: &str| json!({"from": "secret", "secret": name});
    assert_eq!(
        shown["variables"],
        json!([
            {"name": "A", "from": "secret", "secret": "one"},
            {"name": "B", "from": "manifest", "hides": [secret("one"), secret("two")]},
            {"name": "MESHAGENT_API_URL", "from": "platform"},
            {"name": "MESHAGENT_PROJECT_ID", "from": "platform"},
            {"name": "MESHAGENT_ROOM", "from": "manifest", "hides": [{"from": "platform"}]},
            {"name": "MESHAGENT_SESSION_ID", "from": "platform"},
        ])
    );
    let read: wire::EnvironmentPreview = serde_json::from_value(shown.clone()).unwrap();
    assert_eq!(serde_json::to_value(read).unwrap(), shown, "clients read what is written");

    let unbound = world.caller(Role::Developer, false).await;
    let refusal = world.control.preview_environment(&unbound, world.project, Scope::Project, &spec).await.unwrap_err();
    assert_eq!(refusal.kind, meshkeep_core::RefusalKind::Forbidden);
    spec.container.as_mut().unwrap().secrets.push(world.project.to_string());
    assert!(preview(&spec).await.unwrap_err().message.contains("`container.secrets[2]`"));
    world.end().await;
}
