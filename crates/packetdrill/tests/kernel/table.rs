//! Sequences that no grid holds: each has a name, and says what it is about by its calls.

/// A connection: `l` listens, `s` has connected, `p` was accepted.
const CONNECTED: &str = "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5
    socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; accept l p; connect s lo:P1";

/// The same, but the calls of `s` wait.
const WAITING: &str = "CONNECTED; fcntl s F_SETFL 0";

const DESCRIPTORS: &[(&str, &str)] = &[
    ("bad descriptors", "recv 77 5; send 77 5; poll 77; close 77; bind 77 lo:P1; listen 77 1; accept 77 x; connect 77 lo:P1
        get 77 SOL_SOCKET SO_ERROR; set 77 SOL_SOCKET SO_REUSEADDR 1; set 77 SOL_SOCKET SO_REUSEADDR x1; name 77; peer 77
        shutdown 77 SHUT_RD; ioctl 77 SIOCINQ; fcntl 77 F_GETFL; poll -1"),
    ("sockets of kinds there are", "rawsocket AF_INET SOCK_STREAM IPPROTO_TCP a; rawsocket AF_INET6 SOCK_DGRAM IPPROTO_UDP b
        rawsocket AF_INET SOCK_STREAM IPPROTO_UDP c; rawsocket AF_INET SOCK_DGRAM IPPROTO_TCP d; rawsocket AF_INET 77 0 e
        rawsocket 1234 SOCK_STREAM 0 f; rawsocket AF_INET SOCK_STREAM 250 g"),
    ("descriptors that are no sockets", "epoll e; recv e 5; send e 5; listen e 1; bind e lo:P1; get e SOL_SOCKET SO_ERROR; name e
        shutdown e SHUT_RD; pipe r w; listen w 1; name r"),
    ("flags of accept", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5; accept4 l x 7; accept l x
        socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; accept4 l y 0; fcntl y F_GETFL"),
];

const ADDRESSES: &[(&str, &str)] = &[
    ("bind twice", "socket AF_INET SOCK_STREAM s; bind s lo:P1; bind s lo:P2; name s; socket AF_INET SOCK_STREAM t; bind t lo:P1"),
    ("foreign addresses", "socket AF_INET SOCK_STREAM s; bind s foreign:P1; bind s lo6:P1
        socket AF_INET6 SOCK_STREAM t; bind t lo:P1; bind t unspec; bind s unspec; name s; socket AF_INET SOCK_STREAM m; bind m multicast:P1; socket AF_INET SOCK_STREAM b; bind b broadcast:P1"),
    ("freebind", "socket AF_INET SOCK_STREAM s; set s SOL_IP IP_FREEBIND 1; bind s foreign:P1; name s"),
    ("addresses that overlap", "socket AF_INET SOCK_STREAM s; bind s any:P1; socket AF_INET SOCK_STREAM t; bind t lo:P1
        socket AF_INET SOCK_STREAM u; bind u lo:P2; socket AF_INET SOCK_STREAM v; bind v any:P2"),
    ("reuse of addresses, one side", "socket AF_INET SOCK_STREAM s; set s SOL_SOCKET SO_REUSEADDR 1; bind s lo:P1
        socket AF_INET SOCK_STREAM t; bind t lo:P1; set t SOL_SOCKET SO_REUSEADDR 1; bind t lo:P1; listen s 1; listen t 1"),
    ("reuse of addresses, a listener", "socket AF_INET SOCK_STREAM s; set s SOL_SOCKET SO_REUSEADDR 1; bind s lo:P1; listen s 1
        socket AF_INET SOCK_STREAM t; set t SOL_SOCKET SO_REUSEADDR 1; bind t lo:P1; bind t any:P1"),
    ("reuse of ports", "socket AF_INET SOCK_STREAM s; set s SOL_SOCKET SO_REUSEPORT 1; bind s lo:P1
        socket AF_INET SOCK_STREAM t; bind t lo:P1; set t SOL_SOCKET SO_REUSEPORT 1; bind t lo:P1; name t"),
    ("reuse set after bind", "socket AF_INET SOCK_STREAM s; bind s lo:P1; set s SOL_SOCKET SO_REUSEADDR 1
        socket AF_INET SOCK_STREAM t; set t SOL_SOCKET SO_REUSEADDR 1; bind t lo:P1"),
    ("a port that TIME-WAIT holds", "CONNECTED; shutdown p SHUT_WR; shutdown s SHUT_WR; close p; close s; close l
        socket AF_INET SOCK_STREAM t; bind t lo:P1; set t SOL_SOCKET SO_REUSEADDR 1; bind t lo:P1; listen t 1"),
    ("a port that a connection holds", "CONNECTED; close l; socket AF_INET SOCK_STREAM t; bind t lo:P1
        set t SOL_SOCKET SO_REUSEADDR 1; bind t lo:P1"),
    ("both families, both", "socket AF_INET6 SOCK_STREAM s; bind s any6:P1; socket AF_INET SOCK_STREAM t; bind t any:P1; bind t lo:P1
        listen s 3; socket AF_INET SOCK_STREAM c; quiet connect c lo:P1; accept s p; name p; peer c
        socket AF_INET6 SOCK_STREAM d; quiet connect d lo6:P1; accept s q; name q; peer d"),
    ("both families, only IPv6", "socket AF_INET6 SOCK_STREAM s; set s SOL_IPV6 IPV6_V6ONLY 1; bind s any6:P1; listen s 3
        socket AF_INET SOCK_STREAM t; bind t any:P1; listen t 3; socket AF_INET SOCK_STREAM c; quiet connect c lo:P1
        accept s x; accept t p; socket AF_INET6 SOCK_STREAM d; quiet connect d lo6:P1; accept t x; accept s q"),
    ("both families, only IPv4", "socket AF_INET SOCK_STREAM t; bind t any:P1; listen t 3
        socket AF_INET6 SOCK_STREAM d; connect d lo6:P1; connect d lo6:P1; accept t x; socket AF_INET6 SOCK_STREAM e; quiet connect e map:P1
        accept t y; name e; peer e"),
    ("IPv4 in IPv6", "socket AF_INET6 SOCK_STREAM s; bind s map:P1; listen s 3; name s; socket AF_INET SOCK_STREAM c; quiet connect c lo:P1
        accept s p; name p; peer p; get p SOL_SOCKET SO_DOMAIN; get p SOL_IP IP_TOS; get p SOL_IPV6 IPV6_TCLASS; get p SOL_IPV6 IPV6_V6ONLY"),
    ("IPv4 in IPv6, any", "socket AF_INET6 SOCK_STREAM s; bind s mapany:P1; listen s 3; name s; socket AF_INET6 SOCK_STREAM d
        connect d lo6:P1; connect d lo6:P1; socket AF_INET SOCK_STREAM c; quiet connect c lo:P1; accept s p"),
    ("IPv4 in IPv6, only IPv6", "socket AF_INET6 SOCK_STREAM s; set s SOL_IPV6 IPV6_V6ONLY 1; bind s map:P1; connect s map:P1"),
    ("V6ONLY when bound", "socket AF_INET6 SOCK_STREAM s; bind s any6:P1; set s SOL_IPV6 IPV6_V6ONLY 1; get s SOL_IPV6 IPV6_V6ONLY"),
    ("connect to nowhere", "socket AF_INET SOCK_STREAM s; connect s multicast:P1; connect s broadcast:P1; connect s lo:P1
        connect s lo:P1; connect s any:P1; poll s; get s SOL_SOCKET SO_ERROR; connect s any:P1"),
    ("connect to any", "socket AF_INET6 SOCK_STREAM l; bind l any6:P1; listen l 5; socket AF_INET6 SOCK_STREAM s; quiet connect s any6:P1; connect s any6:P1; peer s"),
    ("names of the sockets", "CONNECTED; name l; name s; name p; peer s; peer p; peer l; close p; peer s; shutdown s SHUT_WR; peer s; name s"),
];

const OPENING: &[(&str, &str)] = &[
    ("connect, twice and again", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5; socket AF_INET SOCK_STREAM s; connect s lo:P1
        connect s lo:P1; connect s lo:P1; connect s lo:P2; connect s unspec; connect s lo:P1; connect s lo:P1"),
    ("connect while opening", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 0; socket AF_INET SOCK_STREAM p; quiet connect p lo:P1
        socket AF_INET SOCK_STREAM s; connect s lo:P1; connect s lo:P1; connect s lo:P2; poll s; send s 5; recv s 5; peer s
        ioctl s SIOCOUTQ; get s SOL_SOCKET SO_ERROR; shutdown s SHUT_WR; connect s lo:P1; connect s unspec; connect s lo:P2"),
    ("refused, blocking", "socket AF_INET SOCK_STREAM block s; connect s lo:P1; connect s lo:P1; poll s; get s SOL_SOCKET SO_ERROR; name s"),
    ("listen again", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5; listen l 1; listen l -1; poll l; shutdown l SHUT_WR; poll l
        shutdown l SHUT_RDWR; poll l; listen l 4; accept l x; poll l"),
    ("listen without bind", "socket AF_INET SOCK_STREAM l; listen l 5; name l; close l"),
    ("listen twice on one port", "socket AF_INET SOCK_STREAM l; bind l lo:P1; socket AF_INET SOCK_STREAM m; bind m lo:P1; listen l 1; listen m 1; name m"),
    ("a backlog that grows", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 0; socket AF_INET SOCK_STREAM a; quiet connect a lo:P1
        socket AF_INET SOCK_STREAM b; quiet connect b lo:P1; poll a; poll b; listen l 3; wait 1300; poll b; accept l x; accept l y; accept l z"),
    ("accept waits", "socket AF_INET SOCK_STREAM block l; bind l lo:P1; listen l 5; begin accept l x; socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; end"),
    ("accept that shutdown ends", "socket AF_INET SOCK_STREAM block l; bind l lo:P1; listen l 5; begin accept l x; shutdown l SHUT_RD; end; poll l"),
    ("accept with a timeout", "socket AF_INET SOCK_STREAM block l; bind l lo:P1; listen l 5; set l SOL_SOCKET SO_RCVTIMEO L0,40000; accept l x"),
    ("connect with a timeout", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 0; socket AF_INET SOCK_STREAM p; quiet connect p lo:P1
        socket AF_INET SOCK_STREAM block s; set s SOL_SOCKET SO_SNDTIMEO L0,40000; connect s lo:P1; connect s lo:P1; poll s"),
    ("options that a connection inherits", "socket AF_INET SOCK_STREAM l; bind l lo:P1; set l SOL_TCP TCP_NODELAY 1; set l SOL_SOCKET SO_KEEPALIVE 1
        set l SOL_TCP TCP_KEEPIDLE 7; set l SOL_SOCKET SO_LINGER 1,3; set l SOL_TCP TCP_USER_TIMEOUT 5000; set l SOL_SOCKET SO_RCVBUF 50000
        set l SOL_SOCKET SO_RCVTIMEO L2,0; set l SOL_IP IP_TOS 16; set l SOL_TCP TCP_INQ 1; listen l 5; socket AF_INET SOCK_STREAM s
        quiet connect s lo:P1; accept l p; get p SOL_TCP TCP_NODELAY; get p SOL_SOCKET SO_KEEPALIVE; get p SOL_TCP TCP_KEEPIDLE
        get p SOL_SOCKET SO_LINGER 8; get p SOL_TCP TCP_USER_TIMEOUT; get p SOL_SOCKET SO_RCVBUF; get p SOL_SOCKET SO_RCVTIMEO 16
        get p SOL_IP IP_TOS; get p SOL_TCP TCP_INQ; get p SOL_SOCKET SO_ACCEPTCONN"),
    ("deferred accept, text comes", "socket AF_INET SOCK_STREAM l; bind l lo:P1; set l SOL_TCP TCP_DEFER_ACCEPT 3; listen l 5
        socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; connect s lo:P1; poll l; accept l p; send s 5; poll l; accept l p; recv p 10; peer s"),
    ("deferred accept, time passes", "socket AF_INET SOCK_STREAM l; bind l lo:P1; set l SOL_TCP TCP_DEFER_ACCEPT 1; listen l 5
        socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; poll l; wait 1300; poll l; accept l p; recv p 10"),
    ("deferred accept, FIN comes", "socket AF_INET SOCK_STREAM l; bind l lo:P1; set l SOL_TCP TCP_DEFER_ACCEPT 3; listen l 5
        socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; poll l; shutdown s SHUT_WR; poll l; accept l p; recv p 10"),
    ("fast open without a cookie", "socket AF_INET SOCK_STREAM l; bind l lo:P1; set l SOL_TCP TCP_FASTOPEN 5; listen l 5; get l SOL_TCP TCP_FASTOPEN
        socket AF_INET SOCK_STREAM s; set s SOL_TCP TCP_FASTOPEN_CONNECT 1; connect s lo:P1; connect s lo:P1; send s 5; accept l p; recv p 10"),
    ("sendto with MSG_FASTOPEN", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5; socket AF_INET SOCK_STREAM s; send s 5 MSG_FASTOPEN
        sendto s 5 MSG_FASTOPEN lo:P1; poll s; sendto s 5 MSG_FASTOPEN lo:P1; connect s lo:P1; send s 5; accept l p; recv p 20"),
    ("sendto with MSG_FASTOPEN, refused", "socket AF_INET SOCK_STREAM block s; sendto s 5 MSG_FASTOPEN lo:P1; send s 5; poll s"),
];

const STREAMS: &[(&str, &str)] = &[
    ("text, looked at and taken", "CONNECTED; send p 10; recv s 4 MSG_PEEK; recv s 4; recv s 100 MSG_PEEK; ioctl s SIOCINQ; recv s 3 MSG_TRUNC; recv s 100; recv s 100"),
    ("no room for text", "CONNECTED; recv s 0; send p 5; recv s 0; recv s 0 MSG_PEEK; recvmsg s 0 0 64; recv s 10; shutdown p SHUT_WR; recv s 0; recv s 5"),
    ("read after FIN", "CONNECTED; send p 3; close p; poll s; recv s 10; recv s 10; recv s 10; send s 5; poll s; send s 5; recv s 10; recv s 10; get s SOL_SOCKET SO_ERROR"),
    ("read after RST", "CONNECTED; send p 3; set p SOL_SOCKET SO_LINGER 1,0; close p; poll s; recv s 2; recv s 10; recv s 10; recv s 10; send s 3; poll s; peer s"),
    ("write after RST", "CONNECTED; set p SOL_SOCKET SO_LINGER 1,0; close p; send s 3; send s 3; recv s 3"),
    ("an error that getsockopt takes", "CONNECTED; set p SOL_SOCKET SO_LINGER 1,0; close p; get s SOL_SOCKET SO_ERROR; recv s 3; send s 3; poll s"),
    ("a peer that does not read", "CONNECTED; send s 5; close p; poll s; recv s 5; recv s 5; send s 1"),
    ("low water", "CONNECTED; set s SOL_SOCKET SO_RCVLOWAT 10; get s SOL_SOCKET SO_RCVLOWAT; send p 5; poll s; recv s 100; send p 5; send p 5; poll s; recv s 100
        send p 3; shutdown p SHUT_WR; poll s; recv s 100"),
    ("reading waits", "WAITING; begin recv s 10; send p 5; end"),
    ("reading waits for low water", "WAITING; set s SOL_SOCKET SO_RCVLOWAT 8; begin recv s 100; send p 5; wait 30; send p 5; end"),
    ("reading waits for all", "WAITING; begin recv s 8 MSG_WAITALL; send p 5; wait 30; send p 5; end; recv s 100 MSG_DONTWAIT"),
    ("reading waits for all, FIN comes", "WAITING; begin recv s 8 MSG_WAITALL; send p 5; wait 30; shutdown p SHUT_WR; end; recv s 10"),
    ("reading waits, FIN comes", "WAITING; begin recv s 10; shutdown p SHUT_WR; end"),
    ("reading waits, RST comes", "WAITING; begin recv s 10; set p SOL_SOCKET SO_LINGER 1,0; close p; end; recv s 10"),
    ("reading waits, shut by another", "WAITING; begin recv s 10; shutdown s SHUT_RD; end; recv s 10"),
    ("reading waits, both shut by another", "WAITING; begin recv s 10; shutdown s SHUT_RDWR; end; recv s 10"),
    ("reading with a timeout", "WAITING; set s SOL_SOCKET SO_RCVTIMEO L0,40000; recv s 10; get s SOL_SOCKET SO_RCVTIMEO 16; send p 3; recv s 10 MSG_WAITALL"),
    ("timeouts that are none", "socket AF_INET SOCK_STREAM s; set s SOL_SOCKET SO_RCVTIMEO L1,2000000; set s SOL_SOCKET SO_RCVTIMEO L1,-1
        set s SOL_SOCKET SO_SNDTIMEO L-1,0; get s SOL_SOCKET SO_SNDTIMEO 16; set s SOL_SOCKET SO_RCVTIMEO 1; set s SOL_SOCKET SO_RCVTIMEO L3,500000
        get s SOL_SOCKET SO_RCVTIMEO 16; get s SOL_SOCKET SO_RCVTIMEO 8"),
    ("a time before now", "WAITING; set s SOL_SOCKET SO_RCVTIMEO L-1,0; recv s 10"),
    ("polling waits", "CONNECTED; begin poll s 200; wait 30; send p 5; end; recv s 10; pollfor s POLLIN; pollfor s POLLPRI|POLLRDHUP; shutdown p SHUT_WR; pollfor s POLLRDHUP; pollfor s 0"),
    ("polling in vain", "CONNECTED; pollfor s POLLIN; begin poll l 20; end"),
    ("data after SHUT_RD", "CONNECTED; shutdown s SHUT_RD; poll s; recv s 10; send p 5; poll s; recv s 10; recv s 10; ioctl s SIOCINQ; send s 5; recv p 10"),
    ("data after SHUT_RDWR", "CONNECTED; shutdown s SHUT_RDWR; send p 5; poll s; recv s 10; recv s 10; recv p 10; send p 5; send p 5"),
    ("data before SHUT_RD", "CONNECTED; send p 5; shutdown s SHUT_RD; poll s; recv s 3; recv s 10; recv s 10"),
    ("FIN after SHUT_RD", "CONNECTED; shutdown s SHUT_RD; shutdown p SHUT_WR; poll s; recv s 10; send s 5; recv p 10; shutdown s SHUT_WR; poll s; poll p"),
    ("half closed", "CONNECTED; shutdown s SHUT_WR; send p 5; recv s 10; recv p 10; poll p; send s 1; shutdown s SHUT_WR; close p; recv s 10; shutdown s SHUT_RD; poll s"),
    ("closing with unread text", "CONNECTED; send p 10; recv s 5; close s; poll p; send p 5; recv p 5; recv p 5; send p 5"),
    ("linger 0", "CONNECTED; set s SOL_SOCKET SO_LINGER 1,0; send s 5; close s; recv p 10; recv p 10; recv p 10"),
    ("linger", "CONNECTED; set s SOL_SOCKET SO_LINGER 1,2; get s SOL_SOCKET SO_LINGER 8; send s 5; close s; recv p 10; recv p 10"),
    ("linger as it is set", "socket AF_INET SOCK_STREAM s; set s SOL_SOCKET SO_LINGER 1; set s SOL_SOCKET SO_LINGER 1,5; get s SOL_SOCKET SO_LINGER 8
        get s SOL_SOCKET SO_LINGER 4; set s SOL_SOCKET SO_LINGER 0,0; get s SOL_SOCKET SO_LINGER 4"),
    ("flags that mean nothing here", "CONNECTED; send s 5 MSG_EOR; send s 5 MSG_DONTROUTE; send s 5 MSG_CONFIRM; recv p 20"),
    ("INQ", "CONNECTED; set s SOL_TCP TCP_INQ 1; send p 10; recvmsg s 4 0 64; recvmsg s 100 0 64; recvmsg s 10 0 64; send p 3; recvmsg s 3 0 10
        shutdown p SHUT_WR; recvmsg s 10 0 64; set s SOL_TCP TCP_INQ 2"),
    ("what waits to be sent", "CONNECTED; ioctl s SIOCOUTQ; set s SOL_TCP TCP_CORK 1; send s 5; ioctl s SIOCOUTQ; ioctl s SIOCOUTQNSD; set s SOL_TCP TCP_CORK 0; wait 60; ioctl s SIOCOUTQ; ioctl s SIOCOUTQNSD; recv p 10"),
    ("more to come", "CONNECTED; send s 5 MSG_MORE; ioctl s SIOCOUTQNSD; recv p 10; send s 5; recv p 20"),
    ("no more is taken than may wait", "CONNECTED; set s SOL_TCP TCP_CORK 1; set s SOL_TCP TCP_NOTSENT_LOWAT 10; poll s; send s 4; poll s; send s 4; poll s"),
    ("in both ways at once", "CONNECTED; send s 5; send p 5; shutdown s SHUT_WR; shutdown p SHUT_WR; recv s 10; recv p 10; recv s 10; recv p 10; poll s; poll p; peer s; peer p"),
    ("splice", "CONNECTED; pipe r w; send p 10; splice s w 4 0; splice s w 100 0; splice s w 100 SPLICE_F_NONBLOCK; splice r s 6 0; recv p 10; splice r s 100 0; recv p 10
        splice r s 5 SPLICE_F_NONBLOCK; splice s p 5 0; splice s r 5 0; splice w s 5 0; shutdown p SHUT_WR; splice s w 10 0"),
    ("pipes", "pipe r w; poll r; poll w; close w; poll r; close r"),
];

const URGENT: &[(&str, &str)] = &[
    ("the urgent octet", "CONNECTED; ioctl s SIOCATMARK; recv s 1 MSG_OOB; send p 5; send p 3 MSG_OOB; poll s; ioctl s SIOCINQ; ioctl s SIOCATMARK; recv s 1 MSG_OOB|MSG_PEEK
        recv s 1 MSG_OOB; recv s 1 MSG_OOB; poll s; recv s 100; ioctl s SIOCATMARK; recv s 100; send p 4; ioctl s SIOCINQ; recv s 100; ioctl s SIOCATMARK; recv s 1 MSG_OOB"),
    ("reading past the mark", "CONNECTED; send p 3 MSG_OOB; send p 4; poll s; recv s 100; ioctl s SIOCATMARK; poll s; recv s 100; poll s; recv s 1 MSG_OOB; recv s 100"),
    ("the mark in line", "CONNECTED; set s SOL_SOCKET SO_OOBINLINE 1; send p 3 MSG_OOB; send p 4; poll s; ioctl s SIOCINQ; recv s 1 MSG_OOB; recv s 100; ioctl s SIOCATMARK; recv s 100; ioctl s SIOCATMARK; poll s"),
    ("looking past the mark", "CONNECTED; send p 1 MSG_OOB; send p 4; recv s 100 MSG_PEEK; ioctl s SIOCATMARK; recv s 100; recv s 100"),
    ("two marks", "CONNECTED; send p 3 MSG_OOB; send p 3 MSG_OOB; recv s 1 MSG_OOB; recv s 100; recv s 100; recv s 100"),
    ("two marks, one after the other", "CONNECTED; send p 1 MSG_OOB; recv s 1 MSG_OOB; send p 1 MSG_OOB; recv s 1 MSG_OOB; poll s; recv s 10"),
    ("only the mark", "CONNECTED; send p 1 MSG_OOB; poll s; recv s 10; ioctl s SIOCINQ; pollfor s POLLPRI; recv s 1 MSG_OOB; recv s 10; ioctl s SIOCATMARK; recv s 0 MSG_OOB"),
    ("the mark at a buffer of none", "CONNECTED; send p 2 MSG_OOB; recv s 0 MSG_OOB; recv s 1 MSG_OOB; recv s 5"),
    ("the mark before FIN", "CONNECTED; send p 2 MSG_OOB; shutdown p SHUT_WR; poll s; recv s 10; recv s 10; recv s 1 MSG_OOB"),
    ("the mark, waited for", "WAITING; begin recv s 10 MSG_WAITALL; send p 4 MSG_OOB; end; recv s 1 MSG_OOB"),
    ("the mark and epoll", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLPRI; events e 5 0; send p 2 MSG_OOB; events e 5 0; recv s 1 MSG_OOB; events e 5 0"),
];

const NOTICES: &[(&str, &str)] = &[
    ("zerocopy", "CONNECTED; set s SOL_SOCKET SO_ZEROCOPY 1; poll s; recvmsg s 0 MSG_ERRQUEUE 100; send s 5 MSG_ZEROCOPY; poll s; recvmsg s 0 MSG_ERRQUEUE 100; poll s; recvmsg s 0 MSG_ERRQUEUE 100"),
    ("zerocopy, several", "CONNECTED; set s SOL_SOCKET SO_ZEROCOPY 1; set s SOL_TCP TCP_NODELAY 1; send s 5 MSG_ZEROCOPY; send s 5; send s 5 MSG_ZEROCOPY; send s 0 MSG_ZEROCOPY; send s 5 MSG_ZEROCOPY; wait 60
        recvmsg s 0 MSG_ERRQUEUE 100; recvmsg s 0 MSG_ERRQUEUE 100; send s 5 MSG_ZEROCOPY; wait 60; recvmsg s 0 MSG_ERRQUEUE 100"),
    ("zerocopy, held back", "CONNECTED; set s SOL_SOCKET SO_ZEROCOPY 1; set s SOL_TCP TCP_CORK 1; send s 5 MSG_ZEROCOPY; send s 5 MSG_ZEROCOPY; recvmsg s 0 MSG_ERRQUEUE 100; set s SOL_TCP TCP_CORK 0; wait 60; recvmsg s 0 MSG_ERRQUEUE 100; recvmsg s 0 MSG_ERRQUEUE 100"),
    ("zerocopy that was not asked for", "CONNECTED; send s 5 MSG_ZEROCOPY; recvmsg s 0 MSG_ERRQUEUE 100; poll s; set s SOL_SOCKET SO_ZEROCOPY 1; send s 5; recvmsg s 0 MSG_ERRQUEUE 100"),
    ("zerocopy, no room for notices", "CONNECTED; set s SOL_SOCKET SO_ZEROCOPY 1; send s 5 MSG_ZEROCOPY; recvmsg s 0 MSG_ERRQUEUE 20; recvmsg s 0 MSG_ERRQUEUE 20"),
    ("zerocopy over IPv6", "socket AF_INET6 SOCK_STREAM l; bind l lo6:P1; listen l 5; socket AF_INET6 SOCK_STREAM s; quiet connect s lo6:P1; connect s lo6:P1; set s SOL_SOCKET SO_ZEROCOPY 1; send s 5 MSG_ZEROCOPY; recvmsg s 0 MSG_ERRQUEUE 100"),
    ("zerocopy and epoll", "CONNECTED; set s SOL_SOCKET SO_ZEROCOPY 1; epoll e; ctl e EPOLL_CTL_ADD s EPOLLET|EPOLLIN; events e 5 0; send s 5 MSG_ZEROCOPY; events e 5 0; events e 5 0; recvmsg s 0 MSG_ERRQUEUE 100"),
    ("time stamps", "CONNECTED; set s SOL_SOCKET SO_TIMESTAMPING SOF_TIMESTAMPING_TX_SCHED|SOF_TIMESTAMPING_TX_SOFTWARE|SOF_TIMESTAMPING_TX_ACK|SOF_TIMESTAMPING_SOFTWARE|SOF_TIMESTAMPING_OPT_ID|SOF_TIMESTAMPING_OPT_TSONLY
        send s 5; wait 60; poll s; recvmsg s 0 MSG_ERRQUEUE 200; recvmsg s 0 MSG_ERRQUEUE 200; recvmsg s 0 MSG_ERRQUEUE 200; recvmsg s 0 MSG_ERRQUEUE 200; send s 7; wait 60; recvmsg s 0 MSG_ERRQUEUE 200"),
    ("time stamps, ACK only", "CONNECTED; send s 9; set s SOL_SOCKET SO_TIMESTAMPING SOF_TIMESTAMPING_TX_ACK|SOF_TIMESTAMPING_SOFTWARE; send s 5; wait 60; recvmsg s 0 MSG_ERRQUEUE 200; recvmsg s 0 MSG_ERRQUEUE 200"),
    ("time stamps that are none", "socket AF_INET SOCK_STREAM s; set s SOL_SOCKET SO_TIMESTAMPING 1048576; set s SOL_SOCKET SO_TIMESTAMPING SOF_TIMESTAMPING_OPT_ID; set s SOL_SOCKET SO_TIMESTAMPING SOF_TIMESTAMPING_TX_ACK; get s SOL_SOCKET SO_TIMESTAMPING"),
];

const EPOLL: &[(&str, &str)] = &[
    ("epoll, level", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN; events e 5 0; send p 5; events e 5 0; events e 5 0; recv s 2; events e 5 0; recv s 10; events e 5 0"),
    ("epoll, edges", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLET; events e 5 0; send p 5; events e 5 0; events e 5 0; recv s 2; events e 5 0; send p 5; events e 5 0; recv s 100; events e 5 0; shutdown p SHUT_WR; events e 5 0; events e 5 0"),
    ("epoll, edges, both ways", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLOUT|EPOLLET; events e 5 0; events e 5 0; send s 5; events e 5 0; send p 5; events e 5 0; recv s 10; events e 5 0"),
    ("epoll, once", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLONESHOT; send p 5; events e 5 0; events e 5 0; send p 5; events e 5 0; ctl e EPOLL_CTL_MOD s EPOLLIN|EPOLLONESHOT; events e 5 0; events e 5 0; close p; events e 5 0"),
    ("epoll, exclusive", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLEXCLUSIVE; ctl e EPOLL_CTL_MOD s EPOLLIN; ctl e EPOLL_CTL_ADD l EPOLLIN|EPOLLONESHOT|EPOLLEXCLUSIVE; ctl e EPOLL_CTL_ADD l EPOLLRDHUP|EPOLLEXCLUSIVE; ctl e EPOLL_CTL_MOD l EPOLLIN|EPOLLEXCLUSIVE; send p 5; events e 5 0"),
    ("epoll, errors", "CONNECTED; epoll e; epoll f; ctl e EPOLL_CTL_ADD s EPOLLIN; ctl e EPOLL_CTL_ADD s EPOLLIN; ctl e EPOLL_CTL_MOD p EPOLLIN; ctl e EPOLL_CTL_DEL p 0; ctl e EPOLL_CTL_DEL s 0; ctl e EPOLL_CTL_ADD e EPOLLIN; ctl s EPOLL_CTL_ADD p EPOLLIN
        ctl e 9 s EPOLLIN; ctl e EPOLL_CTL_ADD 77 EPOLLIN; ctl 77 EPOLL_CTL_ADD s EPOLLIN; events s 5 0; events 77 5 0; events e 0 0; events e -1 0"),
    ("epoll in epoll", "CONNECTED; epoll e; epoll f; ctl e EPOLL_CTL_ADD s EPOLLIN; ctl f EPOLL_CTL_ADD e EPOLLIN; events f 5 0; poll e; send p 5; poll e; events f 5 0; events e 5 0; recv s 10; events f 5 0; ctl e EPOLL_CTL_ADD f EPOLLIN"),
    ("epoll, hung up", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s 0; set p SOL_SOCKET SO_LINGER 1,0; close p; events e 5 0; recv s 5; events e 5 0; close s; events e 5 0"),
    ("epoll, a listener", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5; epoll e; ctl e EPOLL_CTL_ADD l EPOLLIN|EPOLLET; events e 5 0; socket AF_INET SOCK_STREAM s; quiet connect s lo:P1; events e 5 0; events e 5 0; socket AF_INET SOCK_STREAM t; quiet connect t lo:P1; events e 5 0; accept l x; events e 5 0"),
    ("epoll, connecting", "socket AF_INET SOCK_STREAM l; bind l lo:P1; listen l 5; socket AF_INET SOCK_STREAM s; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLOUT|EPOLLET; events e 5 0; quiet connect s lo:P1; events e 5 0; events e 5 0"),
    ("epoll waits", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN; begin events e 5 300; wait 30; send p 5; end; recv s 10; events e 5 20"),
    ("epoll, changed", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLET; events e 5 0; ctl e EPOLL_CTL_MOD s EPOLLOUT|EPOLLET; events e 5 0; events e 5 0; ctl e EPOLL_CTL_MOD s EPOLLOUT|EPOLLET; events e 5 0"),
    ("epoll, several in turn", "CONNECTED; epoll e; ctl e EPOLL_CTL_ADD s EPOLLIN|EPOLLOUT; ctl e EPOLL_CTL_ADD p EPOLLIN; send s 4; events e 1 0; events e 1 0; events e 5 0"),
];

const OPTIONS: &[(&str, &str)] = &[
    ("buffers", "socket AF_INET SOCK_STREAM s; set s SOL_SOCKET SO_SNDBUF 0; get s SOL_SOCKET SO_SNDBUF; set s SOL_SOCKET SO_SNDBUF 50000; get s SOL_SOCKET SO_SNDBUF; set s SOL_SOCKET SO_RCVBUF 0; get s SOL_SOCKET SO_RCVBUF; set s SOL_SOCKET SO_RCVBUF 70001; get s SOL_SOCKET SO_RCVBUF
        set s SOL_SOCKET SO_RCVLOWAT 1000000; get s SOL_SOCKET SO_RCVLOWAT; set s SOL_SOCKET SO_SNDBUFFORCE 100; get s SOL_SOCKET SO_SNDBUF; set s SOL_SOCKET SO_RCVBUFFORCE 10000; get s SOL_SOCKET SO_RCVBUF; get s SOL_SOCKET SO_SNDBUFFORCE; set s SOL_SOCKET SO_SNDLOWAT 5"),
    ("largest segment", "socket AF_INET SOCK_STREAM s; get s SOL_TCP TCP_MAXSEG; set s SOL_TCP TCP_MAXSEG 87; set s SOL_TCP TCP_MAXSEG 88; get s SOL_TCP TCP_MAXSEG; set s SOL_TCP TCP_MAXSEG 32767; set s SOL_TCP TCP_MAXSEG 32768; set s SOL_TCP TCP_MAXSEG -1; get s SOL_TCP TCP_MAXSEG; set s SOL_TCP TCP_MAXSEG 0; get s SOL_TCP TCP_MAXSEG"),
    ("keep-alive", "socket AF_INET SOCK_STREAM s; set s SOL_TCP TCP_KEEPIDLE 0; set s SOL_TCP TCP_KEEPIDLE 32767; set s SOL_TCP TCP_KEEPIDLE 32768; get s SOL_TCP TCP_KEEPIDLE; set s SOL_TCP TCP_KEEPINTVL 0; set s SOL_TCP TCP_KEEPINTVL 32768; set s SOL_TCP TCP_KEEPINTVL 5; get s SOL_TCP TCP_KEEPINTVL
        set s SOL_TCP TCP_KEEPCNT 0; set s SOL_TCP TCP_KEEPCNT 127; set s SOL_TCP TCP_KEEPCNT 128; get s SOL_TCP TCP_KEEPCNT; set s SOL_TCP TCP_SYNCNT 128; set s SOL_TCP TCP_SYNCNT 127; get s SOL_TCP TCP_SYNCNT"),
    ("user timeout", "socket AF_INET SOCK_STREAM s; set s SOL_TCP TCP_USER_TIMEOUT -1; set s SOL_TCP TCP_USER_TIMEOUT 2147483647; get s SOL_TCP TCP_USER_TIMEOUT; set s SOL_TCP TCP_USER_TIMEOUT 0; get s SOL_TCP TCP_USER_TIMEOUT"),
    ("tcp_info", "CONNECTED; getlen s SOL_TCP TCP_INFO 1; getlen s SOL_TCP TCP_INFO 0; getlen s SOL_TCP TCP_INFO 104; getlen s SOL_TCP TCP_INFO 248; get s SOL_TCP TCP_INFO 1; get l SOL_TCP TCP_INFO 1; shutdown p SHUT_WR; get s SOL_TCP TCP_INFO 1; shutdown s SHUT_WR; get s SOL_TCP TCP_INFO 1; get s SOL_TCP TCP_INFO -1"),
    ("wrong levels", "socket AF_INET SOCK_STREAM s; set s 99 1 1; get s 99 1; get s SOL_UDP 1; set s SOL_UDP 1 1; set s SOL_TCP 999 1; get s SOL_TCP 999; set s SOL_SOCKET 999 1; get s SOL_SOCKET 999; set s SOL_IP 999 1; get s SOL_IP 999
        socket AF_INET6 SOCK_STREAM t; set t 99 1 1; get t 99 1; get t SOL_UDP 1; set t SOL_IPV6 999 1; get t SOL_IPV6 999; set t SOL_IP 999 1; get t SOL_IP 999; socket AF_INET SOCK_DGRAM u; get u SOL_TCP TCP_NODELAY; set u SOL_TCP TCP_NODELAY 1"),
    ("lengths", "socket AF_INET SOCK_STREAM s; set s SOL_TCP TCP_NODELAY x0; set s SOL_TCP TCP_NODELAY x1; set s SOL_TCP TCP_NODELAY x3; set s SOL_TCP TCP_NODELAY x5; get s SOL_TCP TCP_NODELAY 1; get s SOL_TCP TCP_NODELAY 0; get s SOL_TCP TCP_NODELAY -1; get s SOL_TCP TCP_NODELAY 100
        set s SOL_SOCKET SO_KEEPALIVE x3; get s SOL_SOCKET SO_KEEPALIVE -1; get s SOL_SOCKET SO_KEEPALIVE 2; set s SOL_IP IP_TOS x0; set s SOL_IP IP_TOS x1; set s SOL_IP IP_TOS x2; get s SOL_IP IP_TOS 1; get s SOL_IP IP_TOS 2; get s SOL_IP IP_TOS 0; get s SOL_IP IP_TOS -1; set s SOL_IP IP_TTL x0; set s SOL_IP IP_TTL x1"),
    ("congestion control", "socket AF_INET SOCK_STREAM s; set s SOL_TCP TCP_CONGESTION \"reno; getlen s SOL_TCP TCP_CONGESTION 16; get s SOL_TCP TCP_CONGESTION 16; get s SOL_TCP TCP_CONGESTION 3; set s SOL_TCP TCP_CONGESTION \"nosuch; set s SOL_TCP TCP_CONGESTION x0; get s SOL_TCP TCP_ULP 16; set s SOL_TCP TCP_ULP \"nosuch"),
    ("fast open keys", "socket AF_INET SOCK_STREAM s; getlen s SOL_TCP TCP_FASTOPEN_KEY 100; set s SOL_TCP TCP_FASTOPEN_KEY x8; set s SOL_TCP TCP_FASTOPEN_KEY x16; getlen s SOL_TCP TCP_FASTOPEN_KEY 100; set s SOL_TCP TCP_FASTOPEN_KEY x32; getlen s SOL_TCP TCP_FASTOPEN_KEY 100; set s SOL_TCP TCP_FASTOPEN_KEY x0"),
    ("traffic class", "socket AF_INET SOCK_STREAM s; set s SOL_IP IP_TOS 255; get s SOL_IP IP_TOS; set s SOL_IP IP_TOS 0; get s SOL_IP IP_TOS; get s SOL_SOCKET SO_PRIORITY; set s SOL_IP IP_TOS 16; get s SOL_SOCKET SO_PRIORITY; set s SOL_IP IP_TTL 256; set s SOL_IP IP_TTL 7; get s SOL_IP IP_TTL; get s SOL_SOCKET SO_MARK
        socket AF_INET6 SOCK_STREAM t; set t SOL_IPV6 IPV6_TCLASS 256; set t SOL_IPV6 IPV6_TCLASS 40; get t SOL_IPV6 IPV6_TCLASS; set t SOL_IPV6 IPV6_UNICAST_HOPS 256; set t SOL_IPV6 IPV6_UNICAST_HOPS 9; get t SOL_IPV6 IPV6_UNICAST_HOPS"),
    ("path MTU", "CONNECTED; get s SOL_IP IP_MTU; get l SOL_IP IP_MTU; set s SOL_IP IP_MTU 1500; set s SOL_IP IP_MTU_DISCOVER IP_PMTUDISC_DO; get s SOL_IP IP_MTU_DISCOVER; get s SOL_IPV6 IPV6_MTU"),
    ("window clamp", "socket AF_INET SOCK_STREAM s; get s SOL_TCP TCP_WINDOW_CLAMP; set s SOL_TCP TCP_WINDOW_CLAMP 5; get s SOL_TCP TCP_WINDOW_CLAMP; set s SOL_TCP TCP_WINDOW_CLAMP 0; get s SOL_TCP TCP_WINDOW_CLAMP; set s SOL_TCP TCP_WINDOW_CLAMP -1"),
    ("FIN-WAIT-2 timeout", "socket AF_INET SOCK_STREAM s; get s SOL_TCP TCP_LINGER2; set s SOL_TCP TCP_LINGER2 -5; get s SOL_TCP TCP_LINGER2; set s SOL_TCP TCP_LINGER2 500; get s SOL_TCP TCP_LINGER2; set s SOL_TCP TCP_LINGER2 0; get s SOL_TCP TCP_LINGER2"),
    ("quick acknowledgments", "socket AF_INET SOCK_STREAM s; get s SOL_TCP TCP_QUICKACK; CONNECTED; set s SOL_TCP TCP_QUICKACK 0; get s SOL_TCP TCP_QUICKACK; set s SOL_TCP TCP_QUICKACK 1; get s SOL_TCP TCP_QUICKACK"),
    ("ioctl", "CONNECTED; ioctl s FIONBIO 0; fcntl s F_GETFL; ioctl s FIONBIO 1; fcntl s F_GETFL; ioctl s 1234; fcntl s F_GETFD; fcntl s F_SETFD FD_CLOEXEC; fcntl s F_GETFD"),
];

/// Numbers of options whose values are this machine's, or that are offered by no stack in a program: not compared.
const OWN_OPTIONS: &[(&str, &[i32])] = &[
    // Filters, credentials, devices, memory of the kernel's, hardware.
    (
        "SOL_SOCKET",
        &[
            7, 8, 16, 17, 18, 25, 26, 27, 28, 34, 37, 41, 42, 43, 44, 48, 50, 51, 52, 53, 55, 56,
            57, 59, 61, 62, 63, 64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 80, 82, 83,
        ],
    ),
    // Repair, keys, zero-copy receiving, the state of BBR.
    (
        "SOL_TCP",
        &[13, 14, 19, 20, 21, 22, 24, 26, 29, 32, 35, 37, 38, 45, 46],
    ),
    (
        "SOL_IP",
        &[
            3, 4, 5, 6, 7, 9, 16, 17, 18, 20, 22, 23, 25, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41,
            42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
        ],
    ),
    (
        "SOL_IPV6",
        &[
            1, 2, 3, 4, 5, 6, 8, 11, 17, 18, 19, 20, 21, 22, 27, 28, 29, 30, 31, 32, 33, 34, 35,
            42, 43, 44, 45, 46, 47, 48, 50, 53, 54, 55, 56, 57, 58, 59, 60, 61, 64, 65, 68, 69, 72,
            74, 75, 76, 77, 80,
        ],
    ),
];

/// Every option there is, told at first, set to some values and told again, by lengths that fit and do not.
fn sweep() -> Vec<(String, String)> {
    let mut cases = Vec::new();
    for (level, own) in OWN_OPTIONS {
        for name in (0..55)
            .chain([60, 62, 66, 67, 70, 73, 78])
            .filter(|name| *name < 55 || *level != "SOL_IP")
            .filter(|name| !own.contains(name))
        {
            for domain in ["AF_INET", "AF_INET6"] {
                let mut text = format!(
                    "socket {domain} SOCK_STREAM s; get s {level} {name}; get s {level} {name} 1"
                );
                for value in ["-1", "0", "1", "2", "300", "100000", "x0", "x1", "x3"] {
                    text += &format!("; set s {level} {name} {value}; get s {level} {name} 100");
                }
                cases.push((format!("{domain} {level} {name}"), text));
            }
        }
    }
    cases
}

/// Names and texts of all sequences.
pub(crate) fn cases() -> Vec<(String, String)> {
    let with = |text: &str| {
        text.replace("WAITING", WAITING)
            .replace("CONNECTED", CONNECTED)
    };
    let groups = [
        DESCRIPTORS,
        ADDRESSES,
        OPENING,
        STREAMS,
        URGENT,
        NOTICES,
        EPOLL,
        OPTIONS,
    ];
    let written = groups.concat().into_iter();
    let mut cases: Vec<_> = written
        .map(|(name, text)| (name.to_owned(), with(text)))
        .collect();
    cases.extend(sweep());
    cases
}
