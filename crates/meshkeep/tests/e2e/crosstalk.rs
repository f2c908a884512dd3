//! Many containers of one image, started at once, each with a value of its own: none sees another's.

use std::process::Command;

use crate::{
    canary_search::core,
    process::{eventually, is_full, run, text},
    server::Server,
};

#[test]
fn parallel_launches_never_mix_their_variables() {
    let (rooms, services) = if is_full() { (25, 20) } else { (5, 12) };
    let mut server = Server::new();
    let pull = server.good_pull_secret();
    let image = server.registry.image();
    // Names too: variables that pile up would be seen as well.
    let command = "command: sh -c 'env | grep ^CROSS_ | sha256sum; exec sleep 1000'";
    let mut expected = Vec::new();
    for service in 0..services {
        let variable = format!("CROSS_{}={}\n", core(), core());
        let key = server.secret(&format!("key-{service}"), &variable);
        let name = format!("service-{service}");
        server.service(&name, &format!("image: {image}\npull_secret: {pull}\nsecrets: [{key}]\n{command}"));
        expected.push((name, text(&run(&mut Command::new("sha256sum"), &variable).stdout)));
    }
    for session in server.launch_all((0..rooms).map(|room| format!("room-{room}"))) {
        for (service, sum) in &expected {
            let log = eventually("the sum", || match server.log(&session, service) {
                log if log.contains('\n') => Ok(log),
                _ => Err(server.session(&session).to_string()),
            });
            assert_eq!(&log, sum, "{service} of {session} has other variables than its own");
        }
    }
    server.end();
}
