//! A file into a stream, copied once.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::Connection;

/// Octets read at a time: a super-segment.
const PIECE: usize = 64 << 10;

/// Writes `len` octets from `offset` on, or what there is.
pub(super) async fn write(
    connection: &Connection,
    file: &File,
    offset: u64,
    len: u64,
) -> io::Result<u64> {
    let mut written = 0;
    while written < len {
        let wanted = usize::try_from(len - written).map_or(PIECE, |left| left.min(PIECE));
        let piece = read(file, offset.saturating_add(written), wanted)?;
        if piece.is_empty() {
            break;
        }
        written += piece.len() as u64;
        connection.write_chunk(piece).await?;
    }
    Ok(written)
}

/// At most `wanted` octets; none at the end of the file.
fn read(file: &File, offset: u64, wanted: usize) -> io::Result<Bytes> {
    let mut piece = vec![0; wanted];
    loop {
        match file.read_at(&mut piece, offset) {
            // What is queued is charged by its octets, so it is not to keep much more than these.
            Ok(count) if count < wanted / 4 => return Ok(Bytes::copy_from_slice(&piece[..count])),
            Ok(count) => {
                piece.truncate(count);
                return Ok(piece.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
