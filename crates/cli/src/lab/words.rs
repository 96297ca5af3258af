//! The lab's own words, in each language.

use handwave_story::Language;

use super::scenario::Scenario;
use super::world::Stuck;

/// A short word of the frame around a story.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Sending,
    Delay,
    Loss,
    Reordering,
    Duplication,
    Corruption,
    Jitter,
    Arrived,
    NotArrived,
    Played,
    GeneratedData,
    StandardInput,
    Goodput,
    Segments,
    Resent,
    Lost,
    Corrupted,
    Copies,
    Rtt,
    Time,
    Virtual,
    Wall,
    Seed,
    Cwnd,
}

/// Says a word.
pub(crate) const fn word(language: Language, word: Word) -> &'static str {
    let (english, chinese) = match word {
        Word::Sending => ("sending", "发送中"),
        Word::Delay => ("delay", "时延"),
        Word::Loss => ("loss", "丢包"),
        Word::Reordering => ("reordering", "乱序"),
        Word::Duplication => ("duplication", "重复"),
        Word::Corruption => ("corruption", "损坏"),
        Word::Jitter => ("jitter", "抖动"),
        Word::Arrived => ("every octet arrived", "数据完整到达"),
        Word::NotArrived => ("the data did not arrive whole", "数据没有完整到达"),
        Word::Played => ("played to the end", "演示完成"),
        Word::GeneratedData => ("generated data", "生成的数据"),
        Word::StandardInput => ("standard input", "标准输入"),
        Word::Goodput => ("goodput", "有效吞吐"),
        Word::Segments => ("segments", "报文段"),
        Word::Resent => ("sent again", "重传"),
        Word::Lost => ("lost", "丢失"),
        Word::Corrupted => ("damaged", "损坏"),
        Word::Copies => ("copied", "复制"),
        Word::Rtt => ("round trip", "往返时间"),
        Word::Time => ("time", "时间"),
        Word::Virtual => ("virtual", "虚拟"),
        Word::Wall => ("real", "实际"),
        Word::Cwnd => ("cwnd", "cwnd"),
        Word::Seed => ("seed", "种子"),
    };
    match language {
        Language::English => english,
        Language::SimplifiedChinese => chinese,
    }
}

/// What stands in brackets after a statement.
pub(crate) fn aside(language: Language, what: &str, octets: &str) -> String {
    match language {
        Language::English => format!(" ({what}, {octets})"),
        Language::SimplifiedChinese => format!("（{what}，{octets}）"),
    }
}

/// Why a scenario did not go to its end.
pub(crate) fn stuck(language: Language, stuck: &Stuck) -> String {
    match (language, stuck) {
        (Language::English, Stuck::Silent) => {
            "the scenario stopped: nothing more would ever happen".to_owned()
        }
        (Language::English, Stuck::TooLong) => {
            "the scenario stopped: a day of virtual time has passed".to_owned()
        }
        (Language::English, Stuck::Socket(error)) => format!("the scenario stopped: {error}"),
        (Language::SimplifiedChinese, Stuck::Silent) => "演示中断：不会再发生任何事情".to_owned(),
        (Language::SimplifiedChinese, Stuck::TooLong) => "演示中断：虚拟时间已过一天".to_owned(),
        (Language::SimplifiedChinese, Stuck::Socket(error)) => format!("演示中断：{error}"),
    }
}

/// The heading of a scenario.
pub(crate) const fn title(language: Language, scenario: Scenario) -> &'static str {
    let (english, chinese) = match scenario {
        Scenario::Transfer => ("A transfer", "数据传输"),
        Scenario::Handshake => ("The handshake", "三次握手"),
        Scenario::Teardown3 => ("A close in three segments", "三次挥手"),
        Scenario::HalfClose => ("A half-closed connection", "半关闭"),
        Scenario::SimultaneousOpen => ("Both open at once", "同时打开"),
        Scenario::SimultaneousClose => ("Both close at once", "同时关闭"),
        Scenario::LostSyn => ("A lost SYN", "丢失的 SYN"),
        Scenario::LostLastAck => ("A lost last ACK", "丢失的最后一个 ACK"),
        Scenario::Reset => ("A reset", "连接重置"),
        Scenario::ZeroWindow => ("A window of zero", "零窗口"),
        Scenario::OldDuplicate => ("Guests from an older connection", "来自旧连接的报文段"),
    };
    match language {
        Language::English => english,
        Language::SimplifiedChinese => chinese,
    }
}

/// What to look at in a scenario.
pub(crate) const fn look_at(language: Language, scenario: Scenario) -> &'static str {
    match language {
        Language::English => look_at_english(scenario),
        Language::SimplifiedChinese => look_at_chinese(scenario),
    }
}

const fn look_at_english(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Transfer => {
            "Three segments open the connection, four close it. X and Y are the first numbers of client and server; \
             every number in between counts an octet, a SYN or a FIN. Watch who waits where at the end: the client, \
             which closes first, in TIME-WAIT; the server in LAST-ACK."
        }
        Scenario::Handshake => {
            "Why three? After the second segment the client knows that both directions work, the server does not: it \
             has heard the client, but cannot know yet whether the client hears it. The third segment tells it."
        }
        Scenario::Teardown3 => {
            "Four segments close a connection only because the server usually has something left to do between \
             acknowledging the FIN and sending its own. Here it has nothing: both fit into one segment."
        }
        Scenario::HalfClose => {
            "A FIN closes one direction, not the connection: it says \"I have nothing more to send\". The client waits in \
             FIN-WAIT-2 and goes on receiving; the server sends out of CLOSE-WAIT for as long as it likes."
        }
        Scenario::SimultaneousOpen => {
            "Two SYNs cross. Each end, in SYN-SENT, meets a SYN without ACK and moves to SYN-RECEIVED, not to \
             ESTABLISHED. Nobody listens here, both open actively, and still there is one connection, not two."
        }
        Scenario::SimultaneousClose => {
            "Two FINs cross. Each end finds a FIN where it expected the ACK of its own, and moves from FIN-WAIT-1 to \
             CLOSING. Both end up in TIME-WAIT: nobody was first, so both have to stay."
        }
        Scenario::LostSyn => {
            "Nobody tells the client that its SYN was lost; it can only wait. One second later the timer runs out and \
             the same SYN leaves again, with the same number X. Had that been lost too, it would wait two seconds."
        }
        Scenario::LostLastAck => {
            "The client cannot know whether its last ACK arrived: nothing answers an ACK. So it stays for twice the \
             lifetime of a segment. Here the ACK is lost, the server sends its FIN again out of LAST-ACK, and somebody \
             is still there to acknowledge it. Without TIME-WAIT the answer would be a RST."
        }
        Scenario::Reset => {
            "An abort is no close: a RST is never acknowledged, nobody waits, and what had not been delivered is gone. \
             It is believed because its number is exactly the one expected (RFC 5961)."
        }
        Scenario::ZeroWindow => {
            "The server's application does not read, so its buffer fills and the window it offers shrinks to 0. The \
             client may not send, but it must ask now and then: the message that reopens the window is a bare ACK, \
             which nobody would send again if it were lost. Watch WIN=0, the probes, and the window opening again."
        }
        Scenario::OldDuplicate => {
            "Why not two segments? A SYN of an older connection, late on its way, reaches the server, which must take \
             it for a wish to connect. Only the client can tell that it has no such wish, and the third segment is where it does. \
             Later a segment with text from that connection arrives; its number is outside the window."
        }
    }
}

const fn look_at_chinese(scenario: Scenario) -> &'static str {
    match scenario {
        Scenario::Transfer => {
            "三个报文段建立连接，四个报文段关闭连接。X 和 Y 是客户端和服务器各自的初始序号；其后的每个序号对应一个字节、一个 SYN 或一个 FIN。\
             注意最后双方各在哪里等待：先关闭的客户端在 TIME-WAIT，服务器在 LAST-ACK。"
        }
        Scenario::Handshake => {
            "为什么是三次？第二个报文段到达后，客户端知道两个方向都正常，服务器却还不知道：它听到了客户端，但无从得知客户端能否听到自己。\
             第三个报文段才告诉它这一点。"
        }
        Scenario::Teardown3 => {
            "关闭连接通常要四个报文段，只是因为服务器在确认 FIN 之后、发送自己的 FIN 之前往往还有事要做。这里它没有，于是两者合进同一个报文段。"
        }
        Scenario::HalfClose => {
            "FIN 关闭的是一个方向，而不是整个连接，它的意思是“我没有数据要发送了”。客户端在 FIN-WAIT-2 等待并继续接收；\
             服务器在 CLOSE-WAIT 中想发多久就发多久。"
        }
        Scenario::SimultaneousOpen => {
            "两个 SYN 在途中交错。双方都在 SYN-SENT 中收到不带 ACK 的 SYN，进入的是 SYN-RECEIVED 而不是 ESTABLISHED。\
             这里没有谁在监听，双方都主动打开，但最终只有一个连接，而不是两个。"
        }
        Scenario::SimultaneousClose => {
            "两个 FIN 在途中交错。双方等待的是对自己 FIN 的确认，收到的却是对方的 FIN，于是从 FIN-WAIT-1 进入 CLOSING。\
             最后双方都停在 TIME-WAIT：没有谁先关闭，所以谁都得留下来。"
        }
        Scenario::LostSyn => {
            "没有谁会告诉客户端它的 SYN 丢失了，它只能等待。一秒之后计时器到期，同一个 SYN 再次发出，序号仍是 X。如果这一个也丢失，下次就要等两秒。"
        }
        Scenario::LostLastAck => {
            "客户端无从得知最后的 ACK 是否到达，因为没有什么会应答 ACK。所以它要停留两倍的报文段最大生存时间。这里 ACK 丢失了，\
             服务器从 LAST-ACK 重传 FIN，而此时还有人在那里确认它。若没有 TIME-WAIT，得到的应答将是 RST。"
        }
        Scenario::Reset => {
            "中止不是关闭：RST 不会得到确认，谁也不等待，尚未送达的数据就此消失。它之所以被相信，是因为序号恰好是接收方期待的那一个（RFC 5961）。"
        }
        Scenario::ZeroWindow => {
            "服务器的应用程序不读取数据，缓冲区逐渐填满，提供的窗口缩小到 0。客户端不得发送，但必须不时询问：重新打开窗口的只是一个单独的 ACK，\
             一旦丢失不会有人重传。注意 WIN=0、窗口探测，以及窗口重新打开的时刻。"
        }
        Scenario::OldDuplicate => {
            "为什么不是两次握手？一个旧连接的 SYN 在网络中滞留后到达服务器，服务器只能把它当作连接请求。只有客户端知道自己并没有这个请求，\
             它正是在第三个报文段里说明这一点。之后，旧连接的一个数据报文段也到了，但它的序号落在窗口之外。"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_scenario_is_introduced_in_both_languages() {
        for scenario in Scenario::value_variants() {
            let name = scenario.to_possible_value().unwrap();
            assert_eq!(name.get_name(), scenario.name());
            let english = look_at(Language::English, *scenario);
            let chinese = look_at(Language::SimplifiedChinese, *scenario);
            assert!(english.is_ascii() && english.ends_with('.'), "{english}");
            assert!(
                chinese.ends_with('。') && !chinese.contains([',', ';']),
                "{chinese}"
            );
            assert!(title(Language::English, *scenario).is_ascii());
            assert!(!title(Language::SimplifiedChinese, *scenario).is_ascii());
        }
    }
}
