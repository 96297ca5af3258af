//! What is said about a flood, in each language.

use handwave_story::Language;

use super::Defence;
use crate::args::{FloodArgs, Spoof};

/// Picks the language's own.
pub(super) const fn pick(
    language: Language,
    english: &'static str,
    chinese: &'static str,
) -> &'static str {
    match language {
        Language::English => english,
        Language::SimplifiedChinese => chinese,
    }
}

/// A defence as the table names it.
pub(super) const fn defence(language: Language, defence: Defence) -> &'static str {
    let (english, chinese) = match defence {
        Defence::Nothing => ("nothing", "不设防"),
        Defence::BiggerQueue => ("bigger queue", "加大队列"),
        Defence::FewerRetries => ("fewer retries", "减少重传"),
        Defence::SourceLimits => ("source limits", "按来源限速"),
        Defence::Cookies => ("SYN cookies", "SYN cookie"),
        Defence::TwoNodes => ("two nodes", "两台服务器"),
        Defence::All => ("all of them", "全部"),
    };
    pick(language, english, chinese)
}

/// Columns of the table.
pub(super) const fn columns(language: Language) -> [&'static str; 7] {
    match language {
        Language::English => [
            "defence", "served", "p50", "p99", "memory", "SYN+ACKs", "queue",
        ],
        Language::SimplifiedChinese => {
            ["防御", "得到服务", "p50", "p99", "内存", "SYN+ACK", "队列"]
        }
    }
}

/// What is played.
pub(super) fn heading(language: Language, args: &FloodArgs) -> String {
    let (rate, clients) = (super::report::grouped(args.rate.into()), args.clients);
    let (span, seed) = (args.duration.as_secs_f64(), args.seed);
    match language {
        Language::English => format!(
            "{rate} SYN/s for {span} s, {}, against {clients} honest clients (seed {seed})",
            spoof(language, args.spoof)
        ),
        Language::SimplifiedChinese => format!(
            "每秒 {rate} 个 SYN，持续 {span} 秒，{}；{clients} 个正常客户端（种子 {seed}）",
            spoof(language, args.spoof)
        ),
    }
}

const fn spoof(language: Language, spoof: Spoof) -> &'static str {
    let (english, chinese) = match spoof {
        Spoof::Random => ("forged from anywhere", "源地址随机伪造"),
        Spoof::Prefix => ("forged from one /24", "伪造同一个 /24 网段的源地址"),
        Spoof::Single => ("forged from one address", "伪造同一个源地址"),
        Spoof::Honest => (
            "forged from the clients' own addresses",
            "伪造正常客户端自己的地址",
        ),
    };
    pick(language, english, chinese)
}

/// What the columns mean.
pub(super) const fn legend(language: Language) -> &'static [&'static str] {
    match language {
        Language::English => &[
            "served: honest clients that got their answer within 10 s; half of them speak",
            "first, half wait for the server. p50, p99: time to connect, of those served.",
            "memory: queues and tables of the listeners, at their largest. SYN+ACKs: all that",
            "left, nearly all of them to addresses that never asked. queue: half-open records",
            "over time, full height at the limit.",
        ],
        Language::SimplifiedChinese => &[
            "得到服务：10 秒内收到应答的正常客户端，一半先发言，一半等服务器先发言。",
            "p50、p99：得到服务者的建连时间。内存：监听套接字的队列与表的峰值。",
            "SYN+ACK：发出的总数，几乎全部发往从未请求过的地址。",
            "队列：半连接数随时间的变化，满格即上限。",
        ],
    }
}
