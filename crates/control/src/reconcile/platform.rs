//! What meshkeep itself tells a service, and which of its ports must answer.

use meshkeep_core::{
    SecretText,
    name::EntryName,
    service::{PortNum, PortSpec, PortType, ServiceSpec},
};

use super::Launch;
use crate::probe::Probe;

/// Where the search for a free port begins. A service has its network to itself: any port that it does not name is free.
const FIRST_PORT: u16 = 8080;

/// What every service is told; a picked port comes to it.
const TOLD: [&str; 4] = ["MESHAGENT_PROJECT_ID", "MESHAGENT_ROOM", "MESHAGENT_SESSION_ID", "MESHAGENT_API_URL"];

/// The platform's variables of one workload.
pub(super) fn variables(launch: &Launch, service_url: &str) -> Vec<(EntryName, SecretText)> {
    let Launch { project, room, session, .. } = launch;
    named(&launch.recipe.spec, [project.to_string(), room.to_string(), session.to_string(), service_url.to_owned()])
}

/// The same for a manifest that is launched nowhere: what only a launch knows is empty.
pub(crate) fn unlaunched(spec: &ServiceSpec) -> Vec<(EntryName, SecretText)> {
    named(spec, Default::default())
}

/// Names of what every launch of a manifest is told.
pub(crate) fn told(spec: &ServiceSpec) -> Vec<String> {
    unlaunched(spec).into_iter().map(|(name, _)| name.into()).collect()
}

fn named(spec: &ServiceSpec, told: [String; TOLD.len()]) -> Vec<(EntryName, SecretText)> {
    let port = picked_port(spec).map(|port| ("MESHAGENT_PORT", port.to_string()));
    let typed = |name: &str| name.parse::<EntryName>().expect("the names above are variable names");
    let all = TOLD.into_iter().zip(told).chain(port);
    all.map(|(name, value)| (typed(name), SecretText::new(value))).collect()
}

/// The port for `num: "*"`, when the manifest asks for one.
fn picked_port(spec: &ServiceSpec) -> Option<u16> {
    spec.ports.iter().find(|port| port.num == PortNum::Any)?;
    let named = |number: &u16| spec.ports.iter().any(|port| port.num == PortNum::Fixed(*number));
    (FIRST_PORT..=u16::MAX).find(|number| !named(number))
}

/// A port's number: stated, or picked.
pub(crate) fn number(spec: &ServiceSpec, port: PortNum) -> Option<u16> {
    match port {
        PortNum::Fixed(number) => Some(number),
        PortNum::Any => picked_port(spec),
    }
}

/// The paths that must answer 200 before the service is ready.
pub(super) fn probes(spec: &ServiceSpec) -> Vec<Probe> {
    let probe = |port: &PortSpec| {
        let path = port.liveness.clone()?;
        Some(Probe { port: number(spec, port.num)?, path })
    };
    spec.ports.iter().filter(|port| port.r#type != Some(PortType::Tcp)).filter_map(probe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(ports: &str) -> ServiceSpec {
        let text =
            format!("version: v1\nkind: Service\nmetadata: {{name: a}}\ncontainer: {{image: x}}\nports: {ports}\n");
        meshkeep_core::manifest::from_yaml(&text).unwrap()
    }

    #[test]
    fn a_picked_port_is_none_that_is_named() {
        assert_eq!(picked_port(&spec("[]")), None);
        assert_eq!(picked_port(&spec("[{num: '*'}]")), Some(8080));
        assert_eq!(picked_port(&spec("[{num: 8080}, {num: '*'}, {num: 8081}]")), Some(8082));
    }

    #[test]
    fn only_http_ports_with_a_path_are_probed() {
        let found =
            probes(&spec("[{num: 80, liveness: /a}, {num: 81}, {num: '*', liveness: /b}, {num: 9, type: tcp}]"));
        let plain: Vec<_> = found.iter().map(|probe| (probe.port, probe.path.as_str())).collect();
        assert_eq!(plain, [(80, "/a"), (8080, "/b")]);
    }
}
