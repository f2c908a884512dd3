//! Long lists are read by page and found by a word, and tell how things are.

use std::time::Instant;

use meshkeep_control::{Scope, ServiceOverview};
use meshkeep_core::{
    page::{Page, Paged},
    wire,
};
use serde_json::json;

use crate::world::World;

async fn search(world: &World, query: &str, limit: u32, offset: u32) -> Paged<ServiceOverview> {
    let page = Page { query: query.to_owned(), limit, offset };
    world.control.search_services(&world.admin, world.project, &page).await.unwrap()
}

fn names(found: &Paged<ServiceOverview>) -> Vec<&str> {
    found.items.iter().map(|service| service.spec.metadata.name.as_str()).collect()
}

#[tokio::test]
async fn services_of_all_scopes_are_found_and_say_where_they_run_and_how_they_are() {
    let world = World::new().await;
    for name in ["lobby", "attic"] {
        let room = wire::RoomCreate { name: name.to_owned(), ..Default::default() };
        world.control.create_room(&world.admin, world.project, room).await.unwrap();
    }
    let secret_like = json!({"environment": [{"name": "API_TOKEN", "value": "value-of-token"}]});
    world.service("weather", secret_like).await;
    world.service("broken", json!({"image": world.registry.private()})).await;
    let attic = Scope::Room("attic".parse().unwrap());
    let spec = world.spec("weather", json!({}));
    world.control.create_service(&world.admin, world.project, attic, spec).await.unwrap();
    let session = world.launch().await.id;
    world.until_state(session, "weather", "ready").await;
    world.until_state(session, "broken", "failed").await;

    let found = search(&world, "", 10, 0).await;
    let rows: Vec<_> = found
        .items
        .iter()
        .map(|s| (s.spec.metadata.name.as_str(), s.room.as_ref().map(|room| room.as_str()), s.sessions, s.good, s.bad))
        .collect();
    assert_eq!(rows, [("broken", None, 1, 0, 1), ("weather", None, 1, 1, 0), ("weather", Some("attic"), 0, 0, 0)]);
    assert!(!format!("{found:?}").contains("value-of-token"));
    assert_eq!(names(&search(&world, "EATH", 10, 0).await), ["weather", "weather"]);
    let second = search(&world, "", 1, 1).await;
    assert_eq!((names(&second), second.total), (vec!["weather"], 3));
    for nothing in ["%", "_", "weather\\", "x' OR 1=1 --"] {
        assert_eq!(search(&world, nothing, 10, 0).await.total, 0, "{nothing}");
    }
    world.terminate(session).await;
    assert_eq!(search(&world, "broken", 10, 0).await.items[0].sessions, 0, "an ended session runs nothing");
    world.end().await;
}

#[tokio::test]
async fn five_thousand_services_stay_quick() {
    let world = World::new().await;
    let mut tx = world.store.write("test").await.unwrap();
    for number in 0..5_000 {
        let name = format!("service-{number:04}");
        let spec = world.spec(&name, json!({}));
        let scope = meshkeep_store::Scope::Project;
        tx.create_service(world.project, scope, &name.parse().unwrap(), &spec, &[]).await.unwrap();
    }
    tx.commit().await.unwrap();
    let begun = Instant::now();
    let found = search(&world, "-49", 50, 50).await;
    let id = found.items[0].spec.id.as_ref().unwrap().parse().unwrap();
    world.control.service(&world.admin, world.project, Scope::Project, id).await.unwrap();
    let a_page_and_one = begun.elapsed();
    assert_eq!((found.total, names(&found)[0]), (100, "service-4950"));
    let begun = Instant::now();
    world.control.list_services(&world.admin, world.project, Scope::Project).await.unwrap();
    let all = begun.elapsed();
    assert!(a_page_and_one * 4 < all, "{a_page_and_one:?} of {all:?}: more is opened than shown");
    world.end().await;
}
