//! `handwave lab flood`: what each defence is worth, by the program's own numbers.

use serde_json::Value;

use crate::common::stdout;

fn battles(arguments: &[&str]) -> Vec<Value> {
    let flood = [&["lab", "flood", "--json"], arguments].concat();
    let lines = stdout(&flood);
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is one JSON object"))
        .collect()
}

fn number(battle: &Value, key: &str) -> u64 {
    let number = battle[key].as_u64();
    number.unwrap_or_else(|| panic!("{key} of {battle}"))
}

/// Few enough packets for a test, enough to fill the queue of both listeners.
const FLOOD: [&str; 6] = ["--rate", "6000", "--for", "2s", "--clients", "30"];

#[test]
fn cookies_keep_every_honest_client_whoever_is_forged() {
    for spoof in ["random", "prefix", "single", "honest"] {
        let arguments = [&FLOOD[..], &["--compare", "--spoof", spoof]].concat();
        let battles = battles(&arguments);
        let names: Vec<&str> = battles
            .iter()
            .filter_map(|battle| battle["defence"].as_str())
            .collect();
        let expected = [
            "nothing",
            "bigger-queue",
            "fewer-retries",
            "source-limits",
            "cookies",
            "two-nodes",
            "all",
        ];
        assert_eq!(names, expected);
        let served = |n: usize| number(&battles[n], "served");
        assert_eq!((served(4), served(6)), (30, 30), "{spoof}: {battles:?}");
        if spoof != "honest" {
            // The owners of forged addresses answer with RST, which empties the queue again.
            assert!(served(0) < 30, "{spoof}: a full queue loses clients");
        }
        for battle in &battles {
            let [peak, max] = ["queue_peak", "queue_max"].map(|key| number(battle, key));
            assert!(peak <= max, "{battle}");
            assert_eq!(number(battle, "attack_syns"), 12_000);
        }
        let whose = &battles[3]["top_source"];
        match spoof {
            "prefix" | "single" => {
                assert_eq!(whose, "203.0.113.0/24");
                assert_eq!(served(3), 30, "limits stop who does not hide");
            }
            _ => {}
        }
    }
}

#[test]
fn the_table_fits_and_speaks_both_languages() {
    for (width, language, word) in [("80", "en", "defence"), ("120", "zh-CN", "防御")] {
        let table = stdout(
            &[
                &["lab", "flood", "--width", width, "--lang", language][..],
                &FLOOD,
            ]
            .concat(),
        );
        assert!(
            table.contains(word) && table.contains("TcpExtTCPReqQFullDrop"),
            "{table}"
        );
        let most = table.lines().map(|line| line.chars().count()).max();
        assert!(most <= width.parse().ok(), "{table}");
    }
}

#[test]
fn the_same_seed_is_the_same_flood() {
    let arguments = [
        &FLOOD[..],
        &["--defence", "all", "--loss", "5%", "--seed", "9"],
    ]
    .concat();
    assert_eq!(battles(&arguments), battles(&arguments));
}
