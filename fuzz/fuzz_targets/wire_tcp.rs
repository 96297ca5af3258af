//! TCP headers: parse, write, parse again.
#![no_main]

use handwave_wire::{TcpHeader, TcpOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    // Options of any length, also longer than a header has room for.
    let (options, _) = TcpOptions::parse(octets);
    let mut buffer = [0; TcpOptions::LEN_MAX];
    options.emit(&mut buffer);
    let (again, note) = TcpOptions::parse(&buffer[..options.encoded_len()]);
    assert!(!note.is_malformed());
    assert!(options.sack.as_slice().starts_with(again.sack.as_slice()));
    assert_eq!(
        TcpOptions {
            sack: options.sack,
            ..again
        },
        options
    );

    let Ok((header, data_offset)) = TcpHeader::parse(octets) else {
        return;
    };
    assert!((TcpHeader::LEN_MIN..=TcpHeader::LEN_MAX).contains(&data_offset));
    assert!(data_offset <= octets.len());
    let mut buffer = [0; TcpHeader::LEN_MAX];
    header.emit(&mut buffer);
    let (again, len) = TcpHeader::parse(&buffer).expect("what was emitted");
    assert_eq!(len, header.header_len());
    // Blocks that came in less octets than we pad to may be left out; nothing else may differ.
    assert!(
        header
            .options
            .sack
            .as_slice()
            .starts_with(again.options.sack.as_slice())
    );
    let mut options = again.options;
    options.sack = header.options.sack;
    assert_eq!(TcpHeader { options, ..again }, header);
});
