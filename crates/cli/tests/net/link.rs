//! `handwave link`: a bad line between two namespaces.

use crate::common::{Namespace, Running, directory_with_file, in_namespace, ip, sha256};

#[test]
fn a_file_comes_whole_through_loss_and_delay() {
    in_namespace(&["curl"], || {
        // curl, an interface, the line, an interface, a router (this namespace), an interface, handwave.
        let far = Namespace::new();
        let link = Running::handwave(&format!(
            "link --tun a@{} --tun b --loss 2% --delay 20ms --seed 7",
            far.id()
        ));
        far.run("ip", "addr add 10.8.0.1 peer 10.8.0.2 dev a");
        far.run("ip", "route add 10.7.0.0/24 via 10.8.0.2");
        ip("addr add 10.8.0.2 peer 10.8.0.1 dev b");
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        let (served, file) = directory_with_file(4 << 20);
        let _server = Running::handwave(&format!(
            "serve --addr 10.7.0.1/24 --http 80={}",
            served.path().display()
        ));
        let here = tempfile::tempdir().unwrap();
        let fetched = here.path().join("fetched");
        let curl = "-sSf --max-time 90";
        far.run(
            "curl",
            &format!("{curl} -o {} http://10.7.0.1/file", fetched.display()),
        );
        assert_eq!(sha256(&fetched), sha256(&file));
        far.run(
            "curl",
            &format!("{curl} -T {} http://10.7.0.1/", fetched.display()),
        );
        assert_eq!(sha256(&served.path().join("fetched")), sha256(&file));
        link.signal("INT");
        assert_eq!(link.end(), (Some(0), String::new()));
    });
}
