//! 简体中文。

use super::{Label, Omitted};
use crate::model::{Role, Side};
use crate::quantity;
use crate::sentence::Sentence;

pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Client => "客户端",
        Role::Server => "服务器",
        Role::PeerA => "甲方",
        Role::PeerB => "乙方",
    }
}

pub(super) const fn label(label: Label) -> &'static str {
    match label {
        Label::Lost => "丢失",
        Label::Corrupted => "校验和错误",
        Label::InFlight => "在途中",
        Label::Again => "重传",
    }
}

pub(super) fn omitted(omitted: &Omitted) -> Vec<String> {
    let mut parts = Vec::new();
    for (side, arrow) in [(Side::A, "→"), (Side::B, "←")] {
        let data = omitted.data[side.index()];
        if data > 0 {
            let octets = quantity::octets(omitted.octets[side.index()]);
            parts.push(format!(
                "{arrow} {} 个报文段（{octets}）",
                quantity::number(data)
            ));
        }
        let acks = omitted.acks[side.index()];
        if acks > 0 {
            parts.push(format!("{arrow} {} 个 ACK", quantity::number(acks)));
        }
    }
    let mut rest = Vec::new();
    if omitted.repeated > 0 {
        rest.push(format!("重传 {} 个", quantity::number(omitted.repeated)));
    }
    if omitted.lost > 0 {
        rest.push(format!("丢失 {} 个", quantity::number(omitted.lost)));
    }
    if !omitted.span.is_zero() {
        rest.push(format!("历时 {}", quantity::time(omitted.span)));
    }
    vec![parts.join("，"), rest.join("，")]
}

#[expect(
    clippy::too_many_lines,
    reason = "one arm per sentence; splitting would scatter the language"
)]
pub(super) fn sentence(sentence: &Sentence, name: impl Fn(Side) -> &'static str) -> String {
    let peer = |side: Side| name(side.other());
    match *sentence {
        Sentence::SynOpens { from } => {
            let x = from.letter();
            format!(
                "{}请求建立连接，并告知自己的初始序号 {x}。SYN 本身占用一个序号，因此第一个数据字节的序号将是 {x}+1。",
                name(from)
            )
        }
        Sentence::SynCrosses { from } => {
            format!("{}同时发起连接：双方都还没有看到对方的 SYN。", name(from))
        }
        Sentence::SynAckAgrees { from } => format!(
            "{}同意建立连接，告知自己的初始序号 {}，并确认收到的 SYN。",
            name(from),
            from.letter()
        ),
        Sentence::SynAckAfterCrossing { from } => format!(
            "{}等的是 SYN+ACK，收到的却是 SYN。它重发自己的 SYN（序号仍为 {}），同时确认对方的 SYN。",
            name(from),
            from.letter()
        ),
        Sentence::OpenerKnows { opener } => format!(
            "收到它之后，{}便知道自己的发送和接收都正常；而{}此时只知道自己的接收正常。",
            name(opener),
            peer(opener)
        ),
        Sentence::HandshakeAck { from } => format!(
            "第三个报文段：SEQ 为 {0}+1，因为 SYN 已占用 {0}；ACK 为 {1}+1，因为{2}的 SYN 占用了 {1}。",
            from.letter(),
            from.other().letter(),
            peer(from)
        ),
        Sentence::AnswererKnows { answerer } => {
            format!(
                "直到此刻，{}才知道自己发出的报文段能够到达对方。",
                name(answerer)
            )
        }
        Sentence::CrossedOpenDone { at } => {
            format!("{}看到自己的 SYN 已被确认，进入 ESTABLISHED。", name(at))
        }
        Sentence::SynAckForOldSyn { from, ack } => format!(
            "{}无从知道这个 SYN 是旧的，于是照常应答，ACK={ack}，而对方从未发出过与之对应的序号。",
            name(from)
        ),
        Sentence::RstRefusesOldSyn { from } => format!(
            "{}没有发过这样的 SYN，这个 ACK 不在它的序号之内，于是以 RST 拒绝。第三个报文段的意义正在于此。",
            name(from)
        ),
        Sentence::BackToListen { at } => {
            format!(
                "{}删除这个半开连接，回到监听；应用程序对此毫不知情。",
                name(at)
            )
        }
        Sentence::Data { from, first, last } => {
            format!("{}发送序号从 {first} 到 {last} 的字节。", name(from))
        }
        Sentence::DataHalfClosed { from, len } => format!(
            "半关闭状态：{}仍可发送（这里是 {len} 字节），{}仍会确认。",
            name(from),
            peer(from)
        ),
        Sentence::PureAck { from, ack } => {
            format!(
                "{}已收到 {ack} 之前的全部字节，期待的下一个序号是 {ack}。",
                name(from)
            )
        }
        Sentence::AckStays { from, ack } => {
            format!("{}仍在等待 {ack}：已到达的字节之前还缺一段。", name(from))
        }
        Sentence::SaysAgain { from, ack } => {
            format!("{}再次说明：期待的序号是 {ack}。", name(from))
        }
        Sentence::OutOfOrder { at, expected } => format!(
            "{}期待的是 {expected}。它先把这些字节存起来，等待前面缺少的部分。",
            name(at)
        ),
        Sentence::AlreadyHad { at } => {
            format!(
                "{}已经有这些字节了，于是丢弃，并再次说明自己期待的序号。",
                name(at)
            )
        }
        Sentence::WindowReopens { from, window } => {
            format!(
                "应用程序读走了数据：{}重新提供 {window} 字节的窗口。",
                name(from)
            )
        }
        Sentence::WindowShut { from } => format!(
            "窗口为 0：应用程序没有读取，{}的缓冲区已满，{}必须停止发送。",
            name(from),
            peer(from)
        ),
        Sentence::WindowProbe { from } => format!(
            "窗口探测：{}询问窗口是否仍然关闭。否则，一旦窗口更新丢失，双方将永远等待下去。",
            name(from)
        ),
        Sentence::ResumesAfterProbe { from } => {
            format!("窗口已打开：{}从探测所用的那个字节起继续发送。", name(from))
        }
        Sentence::ProbeAnswered { from } => {
            format!("{}应答：自己还在，但仍然没有空间。", name(from))
        }
        Sentence::KeepAlive { from } => format!("保活探测：{}询问对方是否还在。", name(from)),
        Sentence::RepeatedAfterTimeout { from, times: 1 } => {
            format!("确认没有按时到达，{}重传，并把超时时间加倍。", name(from))
        }
        Sentence::RepeatedAfterTimeout { from, times } => format!(
            "仍然没有确认：{}第 {} 次发送，并再次把超时时间加倍。",
            name(from),
            times + 1
        ),
        Sentence::RepeatedAfterAcks { from } => format!(
            "{}从收到的确认得知中间有缺口，于是立即补发，不必等到超时。",
            name(from)
        ),
        Sentence::Lost => "它在网络中丢失了。没有谁会得到通知，发送方只能从沉默中察觉。".to_owned(),
        Sentence::LostAck => "它在网络中丢失了。无妨：下一个 ACK 会把它所说的一并说明。".to_owned(),
        Sentence::Corrupted { at } => format!(
            "途中有比特翻转。{}从校验和发现错误，将其丢弃：与丢失无异。",
            name(at)
        ),
        Sentence::Copied { at } => format!("网络复制了它：{}收到两次。", name(at)),
        Sentence::FinCloses { from } => format!(
            "{}没有数据要发送了。FIN 与 SYN 一样占用一个序号。它仍然可以接收。",
            name(from)
        ),
        Sentence::FinAcknowledged { from } => format!(
            "{}确认这个 FIN 并告知应用程序，进入 CLOSE-WAIT：自己的发送方向仍然开放，何时关闭由应用程序决定。",
            name(from)
        ),
        Sentence::FinOfSecond { from } => format!(
            "{}也关闭自己的发送方向，在 LAST-ACK 状态等待这个 FIN 的确认。",
            name(from)
        ),
        Sentence::FinMerged { from } => format!(
            "{}也没有数据要发送：同一个报文段既确认对方的 FIN，又携带自己的 FIN。四次挥手变成三次；它在 LAST-ACK 状态等待。",
            name(from)
        ),
        Sentence::FinsCross { from } => {
            format!("{}同时关闭：两个 FIN 在途中交错。", name(from))
        }
        Sentence::LastAck { from } => format!(
            "最后的 ACK：{}至此结束。{}停留在 TIME-WAIT，以防这个 ACK 丢失、FIN 再次到来。",
            peer(from),
            name(from)
        ),
        Sentence::AckOfCrossedFin { from } => format!(
            "{}确认与自己的 FIN 交错的那个 FIN。双方都曾处于 CLOSING，也都将在 TIME-WAIT 等待。",
            name(from)
        ),
        Sentence::FinRepeated { from } => {
            format!(
                "{}仍处于 LAST-ACK：FIN 没有得到确认，于是重传。",
                name(from)
            )
        }
        Sentence::TimeWaitAnswers { from } => format!(
            "TIME-WAIT 正是为此而设：{}仍记得这个连接，再次确认 FIN，并重新开始计时。",
            name(from)
        ),
        Sentence::RstAborts { from } => format!(
            "{}中止连接：发送 RST 而不是 FIN。尚未发送的数据被丢弃，也不期待任何应答。",
            name(from)
        ),
        Sentence::RstNoConnection { from } => {
            format!("{}不知道有这样一个连接，以 RST 告知对方。", name(from))
        }
        Sentence::ResetDone { at } => format!(
            "SEQ 恰好是{}期待的序号，它因此相信这个 RST：立即进入 CLOSED，应用程序得到一个错误。",
            name(at)
        ),
        Sentence::RstIgnored { at } => {
            format!("{}不相信这个 RST：序号对不上。", name(at))
        }
        Sentence::RstInTimeWait { at } => {
            format!(
                "{}处于 TIME-WAIT，不理会 RST：什么也不得缩短这段等待（RFC 1337）。",
                name(at)
            )
        }
        Sentence::OldDuplicate { from } => format!(
            "一个来自旧连接、在网络中滞留已久的副本，带着{}的地址到达。",
            name(from)
        ),
        Sentence::OutsideWindow { at, expected } => format!(
            "{}期待的是 {expected}，而它落在接收窗口之外，因此被丢弃，其中的字节不会交给应用程序。",
            name(at)
        ),
        Sentence::OldTimestamp { at } => format!(
            "它的时间戳比{}上次接受的还旧（PAWS），因此被丢弃。",
            name(at)
        ),
        Sentence::Challenge { from, ack } => format!(
            "{}说明自己期待的序号：{ack}。真正的对端知道该如何应对。",
            name(from)
        ),
        Sentence::Dropped { at } => format!("{}将其丢弃。", name(at)),
        Sentence::CallOpen { .. } => "应用程序调用 connect()".to_owned(),
        Sentence::CallClose { .. } => "应用程序调用 close()".to_owned(),
        Sentence::CallRelease { .. } => "应用程序放弃这个连接".to_owned(),
        Sentence::CallAbort { .. } => "应用程序调用 abort()".to_owned(),
        Sentence::TimerRetransmission { .. } => "重传计时器到期".to_owned(),
        Sentence::TimerPersist { .. } => "坚持计时器到期".to_owned(),
        Sentence::TimerTimeWait { .. } => "2 MSL 已过：旧报文段都已消失".to_owned(),
        Sentence::TimerFinWait2 { .. } => "等待对方的 FIN 已经够久".to_owned(),
        Sentence::TimerGivesUp { .. } => "对端没有任何音讯：放弃连接".to_owned(),
        Sentence::Icmp { .. } => "网络报告了一个错误".to_owned(),
    }
}
