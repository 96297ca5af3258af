//! Whole files both ways, with curl.

use crate::common::{Running, directory_with_file, in_namespace, run, sha256};

const ADDRESSES: &str = "--addr 10.7.0.1/24 --addr fd07::1/64";

#[test]
fn curl_fetches_and_uploads_64_mib_over_both_families() {
    in_namespace(&["curl"], || {
        let (served, file) = directory_with_file(64 << 20);
        let here = tempfile::tempdir().unwrap();
        let (from, to) = (served.path(), here.path());
        let _server = Running::handwave(&format!("serve {ADDRESSES} --http 80={}", from.display()));
        let expected = sha256(&file);
        for (name, host) in [("v4", "10.7.0.1"), ("v6", "[fd07::1]")] {
            let fetched = to.join(name);
            let curl = "-sSgf --max-time 90";
            run(
                "curl",
                &format!("{curl} -o {} http://{host}/file", fetched.display()),
            );
            assert_eq!(sha256(&fetched), expected, "fetched over {name}");
            run(
                "curl",
                &format!("{curl} -T {} http://{host}/", fetched.display()),
            );
            assert_eq!(sha256(&from.join(name)), expected, "uploaded over {name}");
        }
        // Nothing but whole files: the one that was there, and two uploads.
        assert_eq!(std::fs::read_dir(from).unwrap().count(), 3);
    });
}
