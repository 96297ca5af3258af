//! The command line of `handwave ss`.

use super::LookArgs;

pub(super) const ABOUT: &str = "\
Shows the sockets of a Handwave stack that runs in another process, as ss shows the kernel's: the same switches, states, \
filters and columns. Shown are connections without those in TIME-WAIT and SYN-RECEIVED, unless -a, -l or `state` ask for \
others. A listener on all addresses of both families counts as IPv6, as with the kernel. --netstat prints what netstat \
would print.";

pub(super) const SHORT: &str = "Examples, states and filters: handwave ss --help";

pub(super) const EXAMPLES: &str = "\
Filter: [state STATE | exclude STATE]... [EXPRESSION]
  STATE: established, syn-sent, syn-recv, fin-wait-1, fin-wait-2, time-wait, closed, close-wait, last-ack, listening, closing, \
or a group:
    all           every state
    connected     all but listening and closed
    synchronized  connected without syn-sent
    bucket        syn-recv and time-wait, which are kept in compact records
    big           all but those
  EXPRESSION: src HOST, dst HOST, sport OP PORT, dport OP PORT, joined by and, or, not and parentheses
  HOST: 10.0.0.0/8, 10.0.0.1:80, [2001:db8::1]:80 or :80     PORT: :80 or :http     OP: = != < > <= >= or eq ne lt gt le ge

Examples:
  handwave ss -tan                                      every TCP socket, in numbers
  handwave ss -ltn                                      listeners: waiting to be accepted, and how many may
  handwave ss -tn state syn-recv                        half-open connections
  handwave ss -tnoi dst 10.0.0.0/8 and dport != :443    with timers and tcp_info
  handwave ss -tn '( sport = :80 or sport = :443 )'     in quotes, for the shell
  handwave ss --netstat -n | grep SYN_RECV              as netstat -n -t | grep SYN_RECV

Exit codes: 0 fine, 1 failure, 2 usage, 4 another user's program.";

/// `handwave ss`.
#[derive(clap::Args, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of the command line"
)]
pub(crate) struct SsArgs {
    /// Which states and which ends, such as `state syn-recv` or `dst 10.0.0.0/8 and sport = :80`
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Vec<String>,
    /// TCP sockets
    #[arg(short, long)]
    pub(crate) tcp: bool,
    /// UDP sockets
    #[arg(short, long)]
    pub(crate) udp: bool,
    /// Only listeners, and UDP sockets without a peer
    #[arg(short, long)]
    pub(crate) listening: bool,
    /// Sockets in all states
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Only IPv4
    #[arg(short = '4', long)]
    pub(crate) ipv4: bool,
    /// Only IPv6
    #[arg(short = '6', long)]
    pub(crate) ipv6: bool,
    /// Ports as numbers, not names of services
    #[arg(short, long, help_heading = "Display")]
    pub(crate) numeric: bool,
    /// The timer that runs
    #[arg(short, long, help_heading = "Display")]
    pub(crate) options: bool,
    /// What the stack calls the socket, and which directions are open
    #[arg(short, long, help_heading = "Display")]
    pub(crate) extended: bool,
    /// Memory
    #[arg(short, long, help_heading = "Display")]
    pub(crate) memory: bool,
    /// tcp_info; of a listener, both its queues against their limits
    #[arg(short, long, help_heading = "Display")]
    pub(crate) info: bool,
    /// The program
    #[arg(short, long, help_heading = "Display")]
    pub(crate) processes: bool,
    /// No line with the names of the columns
    #[arg(short = 'H', long, help_heading = "Display")]
    pub(crate) no_header: bool,
    /// One line for each socket, however much there is to say
    #[arg(short = 'O', long, help_heading = "Display")]
    pub(crate) oneline: bool,
    /// Counts instead of sockets, SYN cookies among them
    #[arg(short, long, conflicts_with_all = ["filter", "netstat"], help_heading = "Display")]
    pub(crate) summary: bool,
    /// The columns and spelling of netstat; with -o its timers
    #[arg(long, conflicts_with_all = ["extended", "memory", "info", "processes", "oneline", "json"], help_heading = "Display")]
    pub(crate) netstat: bool,
    /// One JSON object a line: a socket each, or the summary; times, numbers and memory where -o, -i and -m ask for them
    #[arg(long, help_heading = "Display")]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) look: LookArgs,
}
