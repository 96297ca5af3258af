//! Names with `*` and `?`.

/// Whether a name fits: `*` stands for any characters or none, `?` for one, all others for themselves.
///
/// Takes steps in proportion to both lengths at most, whatever the pattern.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<_>, Vec<_>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut read) = (0, 0);
    // Where the last star was, and how much of the name it has taken.
    let mut star = None;
    while read < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, read));
                at += 1;
            }
            Some(wanted) if *wanted == '?' || *wanted == name[read] => {
                at += 1;
                read += 1;
            }
            _ => {
                let Some((place, taken)) = star else {
                    return false;
                };
                star = Some((place, taken + 1));
                at = place + 1;
                read = taken + 1;
            }
        }
    }
    pattern[at..].iter().all(|rest| *rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_what_they_say() {
        let name = "TcpExtSyncookiesSent";
        for (pattern, expected) in [
            ("TcpExtSyncookiesSent", true),
            ("TcpExt*", true),
            ("*", true),
            ("*Sent", true),
            ("*cookies*", true),
            ("Tcp*cook*es*t", true),
            ("TcpExtSyncookies?ent", true),
            ("**", true),
            ("TcpExtSyncookiesSent*", true),
            ("TcpExtSyncookiesSent?", false),
            ("Tcp", false),
            ("*Recv", false),
            ("tcp*", false),
            ("", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern}");
        }
        assert!(fits("*", "") && fits("", ""));
    }
}
