//! Every call in every state.

/// How a socket `s` comes into a state; `p` is its peer, `l` a listener.
const STATES: &[(&str, &str)] = &[
    ("fresh", "socket AF_INET SOCK_STREAM s"),
    ("bound", "socket AF_INET SOCK_STREAM s; bind s lo:P1"),
    ("listening", "socket AF_INET SOCK_STREAM s; bind s lo:P1; listen s 5"),
    (
        "listening, one waits",
        "socket AF_INET SOCK_STREAM s; bind s lo:P1; listen s 5; socket AF_INET SOCK_STREAM p; quiet connect p lo:P1",
    ),
    (
        "SYN-SENT",
        "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 0
         socket AF_INET SOCK_STREAM p; quiet connect p lo:P1; socket AF_INET SOCK_STREAM s; quiet connect s lo:P1",
    ),
    ("ESTABLISHED, active", "CONNECTED"),
    (
        "ESTABLISHED, passive",
        "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5
         socket AF_INET SOCK_STREAM p; quiet connect p lo:P1; accept l s",
    ),
    ("text waits", "CONNECTED; send p 10"),
    ("FIN-WAIT-2", "CONNECTED; shutdown s SHUT_WR"),
    ("CLOSE-WAIT", "CONNECTED; shutdown p SHUT_WR"),
    ("CLOSE-WAIT, text waits", "CONNECTED; send p 10; shutdown p SHUT_WR"),
    ("CLOSE-WAIT, peer closed", "CONNECTED; close p"),
    ("TIME-WAIT", "CONNECTED; shutdown s SHUT_WR; shutdown p SHUT_WR"),
    ("CLOSED after LAST-ACK", "CONNECTED; shutdown p SHUT_WR; shutdown s SHUT_WR"),
    ("reading shut", "CONNECTED; shutdown s SHUT_RD"),
    ("both shut", "CONNECTED; shutdown s SHUT_RDWR"),
    ("peer shut reading", "CONNECTED; shutdown p SHUT_RD"),
    ("reset", "CONNECTED; set p SOL_SOCKET SO_LINGER 1,0; close p"),
    ("reset, text waits", "CONNECTED; send p 10; set p SOL_SOCKET SO_LINGER 1,0; close p"),
    ("reset after FIN", "CONNECTED; shutdown p SHUT_WR; send s 5; close p"),
    ("reset, told", "CONNECTED; set p SOL_SOCKET SO_LINGER 1,0; close p; get s SOL_SOCKET SO_ERROR"),
    ("refused", "socket AF_INET SOCK_STREAM s; quiet connect s lo:P1"),
    ("refused, told", "socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; get s SOL_SOCKET SO_ERROR"),
    ("refused, told by connect", "socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; quiet connect s lo:P1"),
    ("dissolved", "CONNECTED; connect s unspec"),
    ("was listening", "socket AF_INET SOCK_STREAM s; bind s lo:P1; listen s 5; shutdown s SHUT_RD"),
    ("shut while connecting",
        "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 0
         socket AF_INET SOCK_STREAM p; quiet connect p lo:P1; socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; shutdown s SHUT_RDWR"),
    ("closed", "CONNECTED; close s"),
    ("IPv6 fresh", "socket AF_INET6 SOCK_STREAM s"),
    ("IPv6 ESTABLISHED",
        "socket AF_INET6 SOCK_STREAM l; bind l lo6:P1; listen l 5
         socket AF_INET6 SOCK_STREAM s; quiet connect s lo6:P1; accept l p; connect s lo6:P1"),
    ("IPv4 in IPv6, ESTABLISHED",
        "socket AF_INET6 SOCK_STREAM l; bind l any6:P1; listen l 5
         socket AF_INET SOCK_STREAM p; quiet connect p lo:P1; accept l s"),
    ("UDP fresh", "socket AF_INET SOCK_DGRAM s"),
    ("UDP bound", "socket AF_INET SOCK_DGRAM s; bind s lo:P1"),
    ("UDP connected", "socket AF_INET SOCK_DGRAM p; bind p lo:P1; socket AF_INET SOCK_DGRAM s; connect s lo:P1"),
];

/// What `CONNECTED` stands for.
const CONNECTED: &str = "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5
    socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; accept l p; connect s lo:P1";

/// The calls.
const CALLS: &[&str] = &[
    "bind s lo:P2",
    "bind s any:0",
    "listen s 3",
    "accept s n",
    "connect s lo:P1",
    "connect s lo:P3",
    "connect s unspec",
    "connect s lo6:P1",
    "send s 5",
    "send s 0",
    "send s 5 MSG_OOB",
    "send s 5 MSG_MORE",
    "sendto s 5 0 lo:P1",
    "recv s 100",
    "recv s 0",
    "recv s 4 MSG_PEEK; recv s 100",
    "recv s 4 MSG_TRUNC; recv s 100",
    "recv s 100 MSG_WAITALL|MSG_DONTWAIT",
    "recv s 1 MSG_OOB",
    "recvmsg s 100 MSG_ERRQUEUE 64",
    "recv s 100; recv s 100; recv s 100",
    "send s 5; send s 5; send s 5",
    "shutdown s SHUT_RD; recv s 10; send s 3",
    "shutdown s SHUT_WR; recv s 10; send s 3",
    "shutdown s SHUT_RDWR; recv s 10; send s 3",
    "shutdown s 3",
    "shutdown s SHUT_RDWR; shutdown s SHUT_RDWR",
    "shutdown s SHUT_WR; send p 5; recv s 10",
    "shutdown s SHUT_RD; send p 5; recv s 10; poll s",
    "shutdown s SHUT_RDWR; send p 5; recv s 10; poll s; send p 5",
    "close s; send p 5; send p 5; recv p 10",
    "set s SOL_SOCKET SO_LINGER 1,0; close s; recv p 100; send p 5",
    "name s",
    "peer s",
    "ioctl s SIOCINQ",
    "ioctl s SIOCOUTQ",
    "ioctl s SIOCOUTQNSD",
    "ioctl s SIOCATMARK",
    "ioctl s 12345",
    "fcntl s F_GETFL",
    "fcntl s F_SETFL O_NONBLOCK; fcntl s F_GETFL",
    "fcntl s 77",
    "get s SOL_SOCKET SO_ERROR; get s SOL_SOCKET SO_ERROR",
    "get s SOL_SOCKET SO_ACCEPTCONN",
    "get s SOL_SOCKET SO_TYPE",
    "get s SOL_SOCKET SO_PROTOCOL",
    "get s SOL_SOCKET SO_DOMAIN",
    "get s SOL_SOCKET SO_LINGER 8",
    "get s SOL_TCP TCP_MAXSEG",
    "get s SOL_TCP TCP_NODELAY",
    "get s SOL_TCP TCP_DEFER_ACCEPT",
    "get s SOL_TCP TCP_FASTOPEN",
    "get s SOL_TCP TCP_FASTOPEN_CONNECT",
    "get s SOL_TCP TCP_QUICKACK",
    "get s SOL_TCP TCP_INFO 1",
    "get s SOL_IP IP_MTU",
    "get s SOL_IP IP_TOS",
    "get s SOL_IPV6 IPV6_MTU",
    "get s SOL_IPV6 IPV6_V6ONLY",
    "set s SOL_IPV6 IPV6_V6ONLY 1",
    "set s SOL_TCP TCP_MAXSEG 1000; get s SOL_TCP TCP_MAXSEG",
    "set s SOL_TCP TCP_NODELAY 1; get s SOL_TCP TCP_NODELAY",
    "set s SOL_TCP TCP_CORK 1; get s SOL_TCP TCP_CORK; send s 5; ioctl s SIOCOUTQ",
    "set s SOL_TCP TCP_FASTOPEN 5; get s SOL_TCP TCP_FASTOPEN",
    "set s SOL_TCP TCP_FASTOPEN_CONNECT 1; get s SOL_TCP TCP_FASTOPEN_CONNECT",
    "set s SOL_TCP TCP_FASTOPEN_NO_COOKIE 1; get s SOL_TCP TCP_FASTOPEN_NO_COOKIE",
    "set s SOL_TCP TCP_WINDOW_CLAMP 0",
    "set s SOL_SOCKET SO_KEEPALIVE 1; get s SOL_SOCKET SO_KEEPALIVE",
    "set s SOL_SOCKET SO_ZEROCOPY 1; get s SOL_SOCKET SO_ZEROCOPY; send s 5 MSG_ZEROCOPY; recvmsg s 0 MSG_ERRQUEUE 100",
    "set s SOL_SOCKET SO_OOBINLINE 1; get s SOL_SOCKET SO_OOBINLINE",
    "epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET; events e 5 0; events e 5 0; send p 3; events e 5 0",
    "epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLOUT|EPOLLRDHUP; events e 5 0; recv s 100; events e 5 0",
];

/// What Linux answers by accident, or of protocols that are no matter of this stack: states and calls that are not compared.
const WITHOUT_MEANING: &[(&str, &str)] = &[
    // Linux counts from numbers that the next connection will start from.
    ("dissolved", "SIOCOUTQ"),
    ("was listening", "SIOCOUTQ"),
    ("shut while connecting", "SIOCOUTQ"),
    ("refused, told by connect", "SIOCOUTQ"),
    // What Linux had learnt of a path stays in a socket that has none any more.
    ("dissolved", "get s SOL_TCP TCP_MAXSEG"),
    ("refused, told by connect", "get s SOL_TCP TCP_MAXSEG"),
    ("shut while connecting", "get s SOL_TCP TCP_MAXSEG"),
    // Datagrams are neither corked nor told of.
    ("UDP", "MSG_MORE"),
    ("UDP", "MSG_ZEROCOPY"),
];

/// What is looked at after each call.
const AFTERWARDS: &str =
    "poll s; get s SOL_SOCKET SO_ERROR; ioctl s SIOCINQ; poll p; recv p 100; name s";

/// Names and texts of all sequences.
pub(crate) fn cases() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for (state, prelude) in STATES {
        let prelude = prelude.replace("CONNECTED", CONNECTED);
        for call in CALLS {
            let nobodys = |(of, with): &(&str, &str)| state.starts_with(of) && call.contains(with);
            if WITHOUT_MEANING.iter().any(nobodys) {
                continue;
            }
            let text = format!("{prelude}; poll s; {call}; {AFTERWARDS}");
            cases.push((format!("{state}: {call}"), text));
        }
    }
    cases
}
