//! What can go wrong with a capture file.

use std::fmt;
use std::io;

use pcap_file::PcapError;

/// Why a capture could not be written or read.
#[derive(Debug)]
#[non_exhaustive]
pub enum CaptureError {
    /// The file or stream underneath failed.
    Io(io::Error),
    /// The first octets are neither those of pcapng nor those of pcap.
    NotACapture,
    /// The file ends in the middle of a packet or block. What was read before it is sound.
    Truncated,
    /// A field of the file contradicts the format; the text says which.
    Malformed(String),
    /// A packet names an interface that the file has not described.
    UnknownInterface(u32),
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::NotACapture => f.write_str("this is neither a pcapng nor a pcap file"),
            Self::Truncated => f.write_str("the capture ends in the middle of a packet"),
            Self::Malformed(what) => write!(f, "the capture is malformed: {what}"),
            Self::UnknownInterface(id) => {
                write!(
                    f,
                    "a packet names interface {id}, which the capture does not describe"
                )
            }
        }
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::NotACapture
            | Self::Truncated
            | Self::Malformed(_)
            | Self::UnknownInterface(_) => None,
        }
    }
}

impl From<io::Error> for CaptureError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Self::Truncated
        } else {
            Self::Io(error)
        }
    }
}

impl From<PcapError> for CaptureError {
    fn from(error: PcapError) -> Self {
        match error {
            PcapError::IncompleteBuffer => Self::Truncated,
            PcapError::IoError(error) => error.into(),
            PcapError::InvalidField(what) => Self::Malformed(what.to_owned()),
            PcapError::Utf8Error(_) | PcapError::FromUtf8Error(_) => {
                Self::Malformed("a text is not UTF-8".to_owned())
            }
            PcapError::InvalidInterfaceId(id) => Self::UnknownInterface(id),
        }
    }
}
