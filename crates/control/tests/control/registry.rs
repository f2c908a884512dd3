//! A registry that has one small image under every name, for whoever brings its password, while it is not down. What is below
//! `others` has a password of its own.

use std::sync::{Arc, Mutex};

use meshkeep_image::{
    HostSettings, RegistrySettings,
    testing::{Answer, ImageParts, Seen, Server, answer, tar},
};
use serde_json::{Value, json};

/// `robot:correct-horse` as it is sent.
const BASIC: &str = "Basic cm9ib3Q6Y29ycmVjdC1ob3JzZQ==";

/// `other:battery-staple`, which opens what is below `others` and nothing else.
const OTHER: &str = "Basic b3RoZXI6YmF0dGVyeS1zdGFwbGU=";

/// What it does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Good,
    /// Answers 503.
    Down,
    /// Never answers.
    Silent,
}

pub struct Registry {
    server: Server,
    mood: Arc<Mutex<Mood>>,
}

impl Registry {
    pub async fn start() -> Self {
        let config =
            json!({"config": {"Env": ["PATH=/bin", "FROM_IMAGE=image", "SHARED=image"], "Entrypoint": ["/app"]}});
        let parts = Arc::new(ImageParts::new(&[tar(&[("app", b"#!/bin/true")])], &config));
        let mood = Arc::new(Mutex::new(Mood::Good));
        let server = Server::start({
            let mood = Arc::clone(&mood);
            move |seen| {
                let (parts, mood) = (Arc::clone(&parts), *mood.lock().unwrap());
                async move {
                    match mood {
                        Mood::Good => serve(&parts, &seen),
                        Mood::Down => answer(503, &[], ""),
                        Mood::Silent => std::future::pending().await,
                    }
                }
            }
        })
        .await;
        Self { server, mood }
    }

    pub fn becomes(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn host(&self) -> String {
        self.server.host()
    }

    /// An image that needs the password.
    pub fn private(&self) -> String {
        format!("{}/acme/private:1", self.host())
    }

    /// An image that needs the other password.
    pub fn of_others(&self) -> String {
        format!("{}/others/private:1", self.host())
    }

    /// An image for everybody.
    pub fn public(&self) -> String {
        format!("{}/acme/public:1", self.host())
    }

    pub fn settings(&self) -> RegistrySettings {
        let section = HostSettings { insecure: true, ..HostSettings::default() };
        RegistrySettings::new([(self.host().parse().unwrap(), section)].into())
    }

    /// The path of each request that brought a proof, and whose it was.
    pub fn proofs(&self) -> Vec<(String, String)> {
        let user = |proof: &str| if proof == OTHER { "other" } else { "robot" }.to_owned();
        let seen = self.server.seen().into_iter();
        seen.filter_map(|seen| Some((seen.path.clone(), user(seen.authorization()?)))).collect()
    }

    /// `METHOD path` of each request so far.
    pub fn requests(&self) -> Vec<String> {
        self.server.lines()
    }
}

fn serve(parts: &ImageParts, seen: &Seen) -> Answer {
    let wanted = if seen.path.contains("/others/") { OTHER } else { BASIC };
    let opens = match seen.authorization() {
        None => !seen.path.contains("/private/"),
        Some(proof) => proof == wanted,
    };
    if !opens {
        return answer(401, &[("www-authenticate", "Basic realm=\"acme\"")], "");
    }
    let digest = parts.digest().to_string();
    let tail = seen.path.rsplit('/').next().unwrap_or_default();
    if tail == "1" || tail == digest {
        let headers = [("content-type", ImageParts::MEDIA_TYPE), ("docker-content-digest", digest.as_str())];
        return answer(200, &headers, parts.manifest.clone());
    }
    let manifest: Value = serde_json::from_slice(&parts.manifest).unwrap();
    let named = std::iter::once(&manifest["config"]).chain(manifest["layers"].as_array().unwrap());
    let blobs = std::iter::once(&parts.config).chain(&parts.blobs);
    match named.zip(blobs).find(|(named, _)| named["digest"] == tail).map(|(_, blob)| blob) {
        Some(blob) => answer(200, &[], blob.clone()),
        None => answer(404, &[], r#"{"errors":[{"code":"NAME_UNKNOWN","message":"not here"}]}"#),
    }
}
