//! Link headers in front of IP packets.

use handwave_capture::LinkType;

/// `LINKTYPE_NULL`: the address family in four octets of either order.
const NULL: u32 = 0;
/// `LINKTYPE_LOOP`: the same in network order.
const LOOP: u32 = 108;
/// `LINKTYPE_LINUX_SLL`: 16 octets, the protocol last.
const LINUX_COOKED: u32 = 113;
/// `LINKTYPE_LINUX_SLL2`: 20 octets, the protocol first.
const LINUX_COOKED_2: u32 = 276;

/// The IP packet in a frame; `None` for what carries something else, and for links that are not known.
///
/// ```
/// use handwave_capture::LinkType;
/// use handwave_script::record::ip_packet;
///
/// let frame = [[0; 12].as_slice(), &[0x08, 0x00, 0x45]].concat();
/// assert_eq!(ip_packet(LinkType::Ethernet, &frame), Some(&[0x45][..]));
/// assert_eq!(ip_packet(LinkType::Other(105), &frame), None);
/// ```
#[must_use]
pub fn ip_packet(link: LinkType, frame: &[u8]) -> Option<&[u8]> {
    let packet = match link {
        LinkType::RawIp => frame,
        LinkType::Ethernet => behind_tags(frame.get(12..)?)?,
        LinkType::Other(NULL | LOOP) => frame.get(4..)?,
        LinkType::Other(LINUX_COOKED) => behind_tags(frame.get(14..)?)?,
        LinkType::Other(LINUX_COOKED_2) => frame.get(20..)?,
        LinkType::Other(_) => return None,
    };
    let version = packet.first()? >> 4;
    matches!(version, 4 | 6).then_some(packet)
}

/// What is behind an EtherType, and behind VLAN tags before it.
fn behind_tags(mut octets: &[u8]) -> Option<&[u8]> {
    loop {
        match octets {
            [0x81, 0x00, _, _, rest @ ..] | [0x88, 0xa8, _, _, rest @ ..] => octets = rest,
            [0x08, 0x00, rest @ ..] | [0x86, 0xdd, rest @ ..] => return Some(rest),
            _ => return None,
        }
    }
}
