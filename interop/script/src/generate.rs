//! Scripts that nobody has written: a seed decides what the peer sends and what the program calls.
//!
//! A script consists of actions only. The peer knows its own numbers exactly and those of the stack as far as they follow from
//! what the program has written, so that most of what it sends is plausible and the rest is wrong in one thing.

mod peer;
mod program;
mod random;

use random::Random;

/// What most actions of a script are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Theme {
    Handshake,
    Sending,
    Receiving,
    Loss,
    Windows,
    Closing,
    Options,
    Anything,
}

const THEMES: &[Theme] = &[
    Theme::Handshake,
    Theme::Sending,
    Theme::Receiving,
    Theme::Loss,
    Theme::Windows,
    Theme::Closing,
    Theme::Options,
    Theme::Anything,
];

/// Pauses between actions, in milliseconds: none ends where a timer of the kernel does.
const PAUSES: &[u32] = &[0, 0, 0, 7, 13, 27, 61, 110, 330];

/// A script in the making.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact about the script of its own"
)]
struct Author {
    random: Random,
    theme: Theme,
    text: String,
    ipv6: bool,
    /// The descriptor of the connection.
    fd: u32,
    /// What the SYN of the peer said.
    mss: u32,
    sack: bool,
    timestamps: bool,
    scale: Option<u8>,
    /// The peer's next number, what lies ahead of it included.
    peer_next: u32,
    /// The highest number the peer has sent.
    peer_max: u32,
    peer_fin: bool,
    /// What the program has written, and whether it will write no more.
    written: u32,
    shut: bool,
    closed: bool,
    /// The highest acknowledgment of the peer.
    acked: u32,
    window: u32,
    clock: u32,
}

/// The script of a seed.
pub(crate) fn script(seed: u64) -> String {
    let mut random = Random::new(seed);
    let theme = random.pick(THEMES);
    let scale = random.pick(&[None, None, Some(0), Some(2), Some(7), Some(7), Some(14)]);
    let mut author = Author {
        theme,
        text: format!("// seed {seed}: {theme:?}\n"),
        ipv6: false,
        fd: 4,
        mss: random.pick(&[1000, 1000, 1000, 1460, 1460, 536, 100]),
        sack: random.chance(60),
        timestamps: random.chance(40),
        scale,
        peer_next: 1,
        peer_max: 1,
        peer_fin: false,
        written: 0,
        shut: false,
        closed: false,
        acked: 1,
        window: 0,
        clock: 1000,
        random,
    };
    author.open();
    let steps = author.random.between(4, 16);
    for _ in 0..steps {
        author.step();
        if author.random.chance(12) {
            author.line("%{ tcp_info }%");
        }
    }
    author.text
}

impl Author {
    /// An action after a pause of the script's choice.
    fn line(&mut self, action: &str) {
        let pause = self.random.pick(PAUSES);
        self.after(pause, action);
    }

    fn after(&mut self, millis: u32, action: &str) {
        self.clock += millis;
        let time = match millis {
            0 => "+0".to_owned(),
            _ => format!("+0.{millis:03}"),
        };
        self.text += &format!("{time} {action}\n");
    }

    fn open(&mut self) {
        match self.random.below(10) {
            0 => self.text += "--ip_version=ipv4-mapped-ipv6\n",
            1 | 2 => {
                self.ipv6 = true;
                self.text += "--ip_version=ipv6\n";
            }
            _ => {}
        }
        if self.random.chance(25) {
            self.open_actively();
        } else {
            self.open_passively();
        }
    }

    fn open_passively(&mut self) {
        self.after(0, "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
        self.after(0, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
        self.early_options(3);
        self.after(0, "bind(3, ..., ...) = 0");
        self.after(0, "listen(3, 5) = 0");
        self.after(0, "fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
        let syn = self.syn("S", "");
        self.after(27, &syn);
        if self.theme == Theme::Handshake {
            self.trouble_in_the_handshake();
        }
        self.window = self.random.pick(&[65_535, 32_792, 257, 20_000]);
        let ack = self.segment(".", (1, 0), Some(1));
        self.after(27, &ack);
        self.after(0, "accept(3, ..., ...) = 4");
        self.settle_in();
    }

    fn open_actively(&mut self) {
        self.after(0, "socket(..., SOCK_STREAM, IPPROTO_TCP) = 4");
        self.early_options(4);
        self.after(0, "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
        self.after(0, "connect(4, ..., ...) = -1 EINPROGRESS");
        if self.theme == Theme::Handshake {
            self.trouble_in_the_handshake();
        }
        let answer = self.syn("S.", " ack 1");
        self.after(27, &answer);
        self.after(7, "connect(4, ..., ...) = 0");
        self.settle_in();
    }

    fn settle_in(&mut self) {
        if self.random.chance(90) {
            self.after(0, "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0");
        } else {
            self.after(
                0,
                "setsockopt(4, SOL_SOCKET, SO_RCVTIMEO, {tv_sec=0, tv_usec=50000}, 16) = 0",
            );
            self.after(
                0,
                "setsockopt(4, SOL_SOCKET, SO_SNDTIMEO, {tv_sec=0, tv_usec=50000}, 16) = 0",
            );
        }
        if self.theme == Theme::Sending && self.random.chance(50) {
            self.after(0, "setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0");
        }
    }

    fn step(&mut self) {
        let peer = match self.theme {
            Theme::Sending | Theme::Options => 35,
            Theme::Receiving | Theme::Loss => 70,
            _ => 50,
        };
        if self.random.chance(peer) {
            self.peer_acts();
        } else {
            self.program_acts();
        }
    }
}

#[cfg(test)]
mod tests {
    use handwave_script::language::Script;

    use super::script;

    #[test]
    fn what_seeds_write_are_scripts_and_the_same_each_time() {
        for seed in 0..500 {
            let text = script(seed);
            let parsed = Script::parse(&text, &[]);
            assert!(parsed.is_ok(), "seed {seed}: {:?}", parsed.err());
            assert_eq!(text, script(seed));
        }
    }
}
