//! Error numbers, as Linux has them on every architecture that this project runs on.

use std::fmt;

/// Why a call failed: the number a C program finds in `errno`.
///
/// ```
/// use handwave_script::posix::Errno;
///
/// assert_eq!(Errno::EAGAIN.to_string(), "EAGAIN (Resource temporarily unavailable)");
/// assert_eq!(Errno::by_name("ECONNRESET"), Some(Errno::ECONNRESET));
/// assert_eq!(Errno::ECONNRESET.number(), 104);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Errno(i32);

macro_rules! errnos {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        impl Errno {
            $(
                #[doc = concat!($text, ".")]
                pub const $name: Self = Self($number);
            )*

            /// Every error number of the table, with its name and its text.
            const TABLE: &'static [(Self, &'static str, &'static str)] =
                &[$((Self::$name, stringify!($name), $text),)*];
        }
    };
}

errnos! {
    EPERM = 1, "Operation not permitted";
    ENOENT = 2, "No such file or directory";
    EINTR = 4, "Interrupted system call";
    EIO = 5, "Input/output error";
    EBADF = 9, "Bad file descriptor";
    EAGAIN = 11, "Resource temporarily unavailable";
    ENOMEM = 12, "Cannot allocate memory";
    EACCES = 13, "Permission denied";
    EFAULT = 14, "Bad address";
    EEXIST = 17, "File exists";
    ENODEV = 19, "No such device";
    EINVAL = 22, "Invalid argument";
    ENFILE = 23, "Too many open files in system";
    EMFILE = 24, "Too many open files";
    ENOTTY = 25, "Inappropriate ioctl for device";
    ESPIPE = 29, "Illegal seek";
    EPIPE = 32, "Broken pipe";
    EDOM = 33, "Numerical argument out of domain";
    ENOSYS = 38, "Function not implemented";
    ELOOP = 40, "Too many levels of symbolic links";
    ENOMSG = 42, "No message of desired type";
    ENONET = 64, "Machine is not on the network";
    EPROTO = 71, "Protocol error";
    EBADMSG = 74, "Bad message";
    EOVERFLOW = 75, "Value too large for defined data type";
    ENOTSOCK = 88, "Socket operation on non-socket";
    EDESTADDRREQ = 89, "Destination address required";
    EMSGSIZE = 90, "Message too long";
    EPROTOTYPE = 91, "Protocol wrong type for socket";
    ENOPROTOOPT = 92, "Protocol not available";
    EPROTONOSUPPORT = 93, "Protocol not supported";
    ESOCKTNOSUPPORT = 94, "Socket type not supported";
    EOPNOTSUPP = 95, "Operation not supported";
    EPFNOSUPPORT = 96, "Protocol family not supported";
    EAFNOSUPPORT = 97, "Address family not supported by protocol";
    EADDRINUSE = 98, "Address already in use";
    EADDRNOTAVAIL = 99, "Cannot assign requested address";
    ENETDOWN = 100, "Network is down";
    ENETUNREACH = 101, "Network is unreachable";
    ENETRESET = 102, "Network dropped connection on reset";
    ECONNABORTED = 103, "Software caused connection abort";
    ECONNRESET = 104, "Connection reset by peer";
    ENOBUFS = 105, "No buffer space available";
    EISCONN = 106, "Transport endpoint is already connected";
    ENOTCONN = 107, "Transport endpoint is not connected";
    ESHUTDOWN = 108, "Cannot send after transport endpoint shutdown";
    ETIMEDOUT = 110, "Connection timed out";
    ECONNREFUSED = 111, "Connection refused";
    EHOSTDOWN = 112, "Host is down";
    EHOSTUNREACH = 113, "No route to host";
    EALREADY = 114, "Operation already in progress";
    EINPROGRESS = 115, "Operation now in progress";
}

impl Errno {
    /// `EAGAIN` by its other name.
    pub const EWOULDBLOCK: Self = Self::EAGAIN;
    /// `EOPNOTSUPP` by its other name.
    pub const ENOTSUP: Self = Self::EOPNOTSUPP;

    /// The number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// The name, such as `EAGAIN`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.entry().map_or("E?", |(_, name, _)| name)
    }

    /// The error number of that name, the second names `EWOULDBLOCK` and `ENOTSUP` included.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "EWOULDBLOCK" => Some(Self::EWOULDBLOCK),
            "ENOTSUP" => Some(Self::ENOTSUP),
            _ => Self::TABLE
                .iter()
                .find(|(_, known, _)| *known == name)
                .map(|(errno, ..)| *errno),
        }
    }

    /// The error with that number.
    #[must_use]
    pub fn by_number(number: i32) -> Option<Self> {
        let mut known = Self::TABLE.iter().map(|(errno, ..)| *errno);
        known.find(|errno| errno.0 == number)
    }

    fn entry(self) -> Option<&'static (Self, &'static str, &'static str)> {
        Self::TABLE.iter().find(|(errno, ..)| *errno == self)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.entry() {
            Some((_, name, text)) => write!(f, "{name} ({text})"),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Errno {}
