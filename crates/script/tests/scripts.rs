//! Runs the scripts under `tests/scripts`.

use handwave_script::runner::{Settings, run};
use handwave_tcp::Profile;

#[test]
fn one() {
    let text = std::fs::read_to_string(std::env::var("SCRIPT").unwrap()).unwrap();
    match run(&text, &Settings::new(Profile::linux())) {
        Ok(o) => eprintln!("{o}\n{}", o.ladder(100)),
        Err(e) => eprintln!("{}", e.render("x", false)),
    }
}
