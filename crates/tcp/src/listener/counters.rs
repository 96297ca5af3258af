//! What happened at a listener: a reason for every SYN that was lost.

/// A counter with all that is to be said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribedCounter {
    /// The field it is, in this library.
    pub field: &'static str,
    /// What tools call it; where Linux counts the same thing, the name is that of `nstat`.
    pub name: &'static str,
    /// What it counts.
    pub about: &'static str,
    /// How much it has counted.
    pub value: u64,
}

/// Describes the counter in a field, which has that name for tools and that documentation.
#[doc(hidden)]
#[macro_export]
macro_rules! described_counter {
    ($counters:ident.$field:ident, $shown:literal, $($doc:literal),*) => {
        $crate::DescribedCounter {
            field: stringify!($field),
            name: $shown,
            about: concat!($($doc),*),
            value: $counters.$field,
        }
    };
}

/// Declares the counters with their names, so that they can be listed and added up.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident = $shown:literal,)*) => {
        /// What happened at one listener, in the meaning of Linux's counters where there is one.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct ListenerCounters {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl ListenerCounters {
            /// All counters as (name, value), in the order of the fields.
            ///
            /// ```
            /// use handwave_tcp::ListenerCounters;
            ///
            /// let counters = ListenerCounters::default();
            /// assert!(counters.iter().any(|(name, value)| name == "TcpExtSyncookiesSent" && value == 0));
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($shown, self.$name)),*].into_iter()
            }

            /// All counters with what they count.
            ///
            /// ```
            /// use handwave_tcp::ListenerCounters;
            ///
            /// let counters = ListenerCounters::default();
            /// let sent = counters.described().find(|counter| counter.field == "syncookies_sent");
            /// let sent = sent.expect("it is a field");
            /// assert_eq!((sent.name, sent.value), ("TcpExtSyncookiesSent", 0));
            /// assert_eq!(sent.about.trim(), "SYN+ACKs sent whose numbers are a cookie.");
            /// ```
            pub fn described(&self) -> impl Iterator<Item = DescribedCounter> {
                [$(crate::described_counter!(self.$name, $shown, $($doc),*)),*].into_iter()
            }

            /// Adds what happened at another listener.
            pub const fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }
        }
    };
}

counters! {
    /// SYNs that made a record.
    syns_received = "ListenSynsRecorded",
    /// SYNs that found their record already there.
    syns_repeated = "ListenSynsRepeated",
    /// SYN+ACKs sent again.
    synack_retransmissions = "ListenSynAckRetrans",
    /// SYNs that found the SYN queue full, whatever became of them then.
    syn_queue_full = "ListenSynQueueFull",
    /// SYNs that found the SYN queue full and were dropped.
    req_queue_full_drop = "TcpExtTCPReqQFullDrop",
    /// SYNs that found the SYN queue full and were answered with a cookie.
    req_queue_full_do_cookies = "TcpExtTCPReqQFullDoCookies",
    /// SYNs and last acknowledgments that found the accept queue full.
    accept_queue_full = "TcpExtListenOverflows",
    /// SYNs and last acknowledgments that were lost, for any reason.
    drops = "TcpExtListenDrops",
    /// SYN+ACKs sent whose numbers are a cookie.
    syncookies_sent = "TcpExtSyncookiesSent",
    /// Acknowledgments that brought a cookie back.
    syncookies_received = "TcpExtSyncookiesRecv",
    /// Acknowledgments that brought back something else, or too late.
    syncookies_failed = "TcpExtSyncookiesFailed",
    /// Acknowledgments not believed without a timestamp, because too many forged ones came.
    syncookies_doubted = "ListenSyncookiesDoubted",
    /// SYNs whose source was over its SYN rate.
    limit_syn_rate = "ListenLimitSynRate",
    /// SYNs whose source had too many half-open records.
    limit_half_open = "ListenLimitHalfOpen",
    /// SYNs over the rate of all sources together.
    limit_syn_rate_total = "ListenLimitSynRateTotal",
    /// SYNs and last acknowledgments whose source had too many connections.
    limit_established = "ListenLimitEstablished",
    /// Last acknowledgments whose source completed handshakes too fast.
    limit_established_rate = "ListenLimitEstablishedRate",
    /// SYNs and last acknowledgments over the number of connections from all sources together.
    limit_established_total = "ListenLimitEstablishedTotal",
    /// SYNs and last acknowledgments of sources on the list of those denied.
    denied = "ListenDenied",
    /// SYNs over an unverified budget that a cookie answered.
    limit_do_cookies = "ListenLimitDoCookies",
    /// Records forgotten because no SYN+ACK was answered.
    expired = "ListenSynsExpired",
    /// Records removed by the peer's RST.
    reset = "ListenSynsReset",
    /// Records removed because the network reported that the peer cannot be reached.
    unreachable = "ListenSynsUnreachable",
    /// Handshakes completed.
    established = "ListenEstablished",
    /// Floods that began.
    floods = "ListenFloods",
}
