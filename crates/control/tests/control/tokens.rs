//! Participant tokens: worth what their key is worth now, and no more.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use meshkeep_core::{
    Refusal,
    access::{Grant, Role},
    api_key::ApiKeyText,
};
use serde_json::{Value, json};

use crate::world::{World, make_key};

pub fn signed(key: &ApiKeyText, algorithm: Algorithm, change: impl FnOnce(&mut Value)) -> String {
    let mut claims = json!({
        "name": "ann", "sub": key.project, "kid": key.id, "version": "0.28.15",
        "grants": [{"name": "room", "scope": "lobby"}, {"name": "api", "scope": {"admin": {}, "secrets": {}}}],
    });
    change(&mut claims);
    jsonwebtoken::encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(key.secret.expose().as_bytes()))
        .unwrap()
}

async fn worth(world: &World, token: &str) -> Result<Grant, Refusal> {
    Ok(world.control.authenticate(Some(token), Default::default()).await?.grant())
}

#[tokio::test]
async fn a_token_is_worth_no_more_than_its_key_and_than_it_asks_for() {
    let world = World::new().await;
    let api = |scope: Value| move |claims: &mut Value| claims["grants"][1]["scope"] = scope;
    for (role, bind, scope, expected) in [
        (Role::Admin, true, json!({"admin": {}}), (Role::Admin, true)),
        (Role::Admin, true, json!({"containers": {}, "developer": {}}), (Role::Member, false)),
        (Role::Admin, true, json!({"admin": null}), (Role::Member, false)),
        (Role::Developer, true, json!({"admin": {}}), (Role::Developer, true)),
        (Role::Developer, false, json!({"admin": {}, "secrets": {}}), (Role::Developer, false)),
        (Role::Member, false, json!({"admin": {}}), (Role::Member, false)),
    ] {
        let key = make_key(&world.store, world.project, role, bind).await;
        let grant = worth(&world, &signed(&key, Algorithm::HS256, api(scope))).await.unwrap();
        assert_eq!((grant.role, grant.bind), expected, "{role} {bind}");
    }
    world.end().await;
}

#[tokio::test]
async fn tokens_that_are_not_believed() {
    let world = World::new().await;
    let key = make_key(&world.store, world.project, Role::Admin, true).await;
    let same = |_: &mut Value| {};
    worth(&world, &signed(&key, Algorithm::HS256, same)).await.unwrap();
    worth(&world, &signed(&key, Algorithm::HS256, |claims| claims["exp"] = json!(4_000_000_000_i64))).await.unwrap();
    let other = "01a20e68-a737-748a-ac4b-cb802a61537e";
    let forged = ApiKeyText {
        secret: "another secret".into(),
        ..make_key(&world.store, world.project, Role::Admin, true).await
    };
    let whole = signed(&key, Algorithm::HS256, same);
    let (body, _) = whole.rsplit_once('.').unwrap();
    let (_, payload) = body.split_once('.').unwrap();
    for token in [
        signed(&key, Algorithm::HS384, same),
        signed(&key, Algorithm::HS512, same),
        signed(&forged, Algorithm::HS256, same),
        signed(&key, Algorithm::HS256, |claims| claims["exp"] = json!(1)),
        signed(&key, Algorithm::HS256, |claims| claims["sub"] = json!(other)),
        signed(&key, Algorithm::HS256, |claims| claims["sub"] = Value::Null),
        signed(&key, Algorithm::HS256, |claims| claims["kid"] = json!(other)),
        signed(&key, Algorithm::HS256, |claims| claims["kid"] = Value::Null),
        format!("{body}."),
        // {"alg":"none","typ":"JWT"}
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{payload}."),
        "a.b.c".to_owned(),
        String::new(),
    ] {
        assert_eq!(worth(&world, &token).await.unwrap_err().code, "unauthenticated", "{token}");
    }
    assert_eq!(world.control.authenticate(None, Default::default()).await.unwrap_err().code, "unauthenticated");
    world.end().await;
}

#[tokio::test]
async fn a_deleted_key_kills_its_tokens_whoever_signed_them() {
    let world = World::new().await;
    let key = make_key(&world.store, world.project, Role::Developer, true).await;
    let text = key.format();
    let caller = world.control.authenticate(Some(text.expose()), Default::default()).await.unwrap();
    let connected = world.control.connect_room(&caller, world.project, "lobby".parse().unwrap()).await.unwrap();
    assert_eq!(connected.room_url, "ws://127.0.0.1:4680/rooms/lobby");
    let own = signed(&key, Algorithm::HS256, |_| {});
    for token in [connected.jwt.expose(), own.as_str(), text.expose()] {
        let grant = worth(&world, token).await.unwrap();
        assert!(grant.role <= Role::Developer);
    }
    world.control.delete_api_key(&world.admin, world.project, key.id).await.unwrap();
    for token in [connected.jwt.expose(), own.as_str(), text.expose()] {
        assert_eq!(worth(&world, token).await.unwrap_err().code, "unauthenticated");
    }
    world.end().await;
}
