//! What an image says of itself beyond its command: volumes, labels, annotations, health checks and build steps, as
//! other engines take them for orders. Here they are words.

use serde_json::json;

use crate::server::Server;

/// Prints what a container is: its mounts, devices, files, privileges, environment, place and user.
const LOOK: &str = "cut -d\" \" -f5 /proc/self/mountinfo | sort; stat -c \"%A %u:%g %F %t:%T %n\" /* /dev/* /etc/*; \
                    grep -e Cap -e Seccomp -e NoNew /proc/self/status; env | sort; pwd; id; echo seen; exec sleep 1000";

#[test]
fn what_an_image_says_of_itself_changes_nothing() {
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let plain = server.registry.image();
    let host = tempfile::tempdir().expect("a temporary directory can be made");
    let path = host.path().display();
    let wordy = server.registry.push_with(
        "wordy",
        &json!({
            "Volumes": { "/data": {}, "/etc": {}, (format!("/../../../../..{path}")): {}, "/run/secrets": {} },
            "Labels": {
                "io.containerd.image.command": format!("touch {path}/label"),
                "io.kubernetes.cri-o.Devices": "/dev/kmsg:/dev/kmsg:rwm",
                "io.kubernetes.cri-o.userns-mode": "host",
                "RUN": format!("podman run --privileged -v /:/host IMAGE touch {path}/label"),
            },
            "Healthcheck": { "Test": ["CMD-SHELL", "touch /tmp/checked"], "Interval": 1_000_000_000 },
            "OnBuild": [format!("RUN touch {path}/built")],
            "ExposedPorts": { "1/tcp": {} },
            "Shell": ["/bin/false"], "Hostname": "chosen", "Domainname": "chosen", "ArgsEscaped": true,
            "HostConfig": { "Privileged": true, "Binds": ["/:/host"] },
        }),
        &json!({
            "run.oci.hooks.stdout": format!("{path}/hook"),
            "run.oci.keep_original_groups": "1",
            "io.kubernetes.cri-o.Devices": "/dev/kmsg",
            "cdi.k8s.io/all": "vendor.example/device=all",
            "org.criu.config": format!("{path}/criu"),
            "org.systemd.property.DeviceAllow": "['*']",
        }),
    );
    for (name, image) in [("plain", &plain), ("wordy", &wordy)] {
        let command = format!("command: sh -c '{LOOK}'");
        server.service(name, &format!("image: {image}\npull_secret: {pull}\n{command}"));
    }
    let session = server.launch("lobby");
    let [plain, wordy] = ["plain", "wordy"].map(|name| {
        let log = server.log_with(&session, name, "\nseen\n");
        // Each is called by its service's name, whatever its image says.
        log.replace(name, "NAME")
    });
    assert!(plain.contains("/etc/hosts\n") && plain.contains("urandom") && plain.contains("CapEff:"), "{plain}");
    assert_eq!(wordy, plain);
    assert_eq!(std::fs::read_dir(host.path()).expect("it is there").count(), 0, "something was done on the host");
    server.end();
}
