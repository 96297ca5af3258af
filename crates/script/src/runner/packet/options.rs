//! TCP options in the order in which they stand.

use crate::language::ast::{EcnCounter, TcpOption};

const MAX: usize = 40;
/// The experiment that carried Fast Open before it had a kind of its own (RFC 7413 appendix A, RFC 6994).
const FAST_OPEN_EXPERIMENT: [u8; 2] = [0xf9, 0x89];

/// Accurate ECN with the counter of ECT(0) first, and with that of ECT(1) first.
const ACCURATE_ECN_0: u8 = 172;
const ACCURATE_ECN_1: u8 = 174;

/// The octets of a list of options, with as many octets of end-of-options behind them as a whole word needs.
pub(super) fn encode(options: &[TcpOption]) -> Result<Vec<u8>, String> {
    let mut octets = Vec::new();
    for option in options {
        encode_one(option, &mut octets);
    }
    octets.resize(octets.len().next_multiple_of(4), 0);
    if octets.len() > MAX {
        return Err(format!(
            "the options take {} octets, and a header has room for {MAX}",
            octets.len()
        ));
    }
    Ok(octets)
}

fn encode_one(option: &TcpOption, octets: &mut Vec<u8>) {
    let mut with_len = |kind: u8, value: &[&[u8]]| {
        let len = value.iter().map(|part| part.len()).sum::<usize>() + 2;
        octets.extend([kind, u8::try_from(len).unwrap_or(u8::MAX)]);
        for part in value {
            octets.extend_from_slice(part);
        }
    };
    match option {
        TcpOption::End => octets.push(0),
        TcpOption::Nop => octets.push(1),
        TcpOption::Mss(mss) => with_len(2, &[&mss.to_be_bytes()]),
        TcpOption::WindowScale(shift) => with_len(3, &[&[*shift]]),
        TcpOption::SackPermitted => with_len(4, &[]),
        TcpOption::Sack(blocks) => {
            let flat: Vec<u8> = blocks
                .iter()
                .flat_map(|(start, end)| [start.to_be_bytes(), end.to_be_bytes()])
                .flatten()
                .collect();
            with_len(5, &[&flat]);
        }
        TcpOption::Timestamps { value, echo } => {
            with_len(8, &[&value.to_be_bytes(), &echo.to_be_bytes()]);
        }
        TcpOption::FastOpen(cookie) => with_len(34, &[cookie]),
        TcpOption::FastOpenExperimental(cookie) => {
            with_len(254, &[&FAST_OPEN_EXPERIMENT, cookie]);
        }
        TcpOption::Md5(digest) => with_len(19, &[digest]),
        TcpOption::AccurateEcn(counters) => {
            // RFC 9768 3.2.3: the kind says in which order the counters stand.
            let kind = match counters.first() {
                Some((EcnCounter::Ect1, _)) => ACCURATE_ECN_1,
                _ => ACCURATE_ECN_0,
            };
            let flat: Vec<u8> = counters
                .iter()
                .flat_map(|(_, octets)| octets.to_be_bytes().into_iter().skip(1))
                .collect();
            with_len(kind, &[&flat]);
        }
        TcpOption::Raw(raw) => octets.extend_from_slice(raw),
        // Only what is expected has an open end.
        TcpOption::Rest => {}
    }
}

/// What the octets between the fixed header and the data say.
pub(super) fn decode(mut octets: &[u8]) -> Vec<TcpOption> {
    let mut options = Vec::new();
    while let [kind, rest @ ..] = octets {
        match kind {
            0 => {
                // The zeros up to the whole word are padding, not options.
                options.push(TcpOption::End);
                break;
            }
            1 => {
                options.push(TcpOption::Nop);
                octets = rest;
                continue;
            }
            _ => {}
        }
        let len = rest.first().map_or(0, |len| usize::from(*len));
        let Some(value) = octets.get(2..len) else {
            options.push(TcpOption::Raw(octets.to_vec()));
            break;
        };
        options.push(decode_one(*kind, value).unwrap_or(TcpOption::Raw(octets[..len].to_vec())));
        octets = &octets[len..];
    }
    options
}

fn decode_one(kind: u8, value: &[u8]) -> Option<TcpOption> {
    let word = |at: usize| {
        let octets = value.get(at..at + 4)?;
        Some(u32::from_be_bytes(octets.try_into().ok()?))
    };
    match (kind, value) {
        (2, [m0, m1]) => Some(TcpOption::Mss(u16::from_be_bytes([*m0, *m1]))),
        (3, [shift]) => Some(TcpOption::WindowScale(*shift)),
        (4, []) => Some(TcpOption::SackPermitted),
        (5, blocks) if blocks.len() % 8 == 0 => {
            let block = |at| Some((word(at)?, word(at + 4)?));
            (0..blocks.len())
                .step_by(8)
                .map(block)
                .collect::<Option<_>>()
                .map(TcpOption::Sack)
        }
        (8, _) if value.len() == 8 => Some(TcpOption::Timestamps {
            value: word(0)?,
            echo: word(4)?,
        }),
        (34, cookie) => Some(TcpOption::FastOpen(cookie.to_vec())),
        (254, [a, b, cookie @ ..]) if [*a, *b] == FAST_OPEN_EXPERIMENT => {
            Some(TcpOption::FastOpenExperimental(cookie.to_vec()))
        }
        (ACCURATE_ECN_0 | ACCURATE_ECN_1, counters)
            if counters.len() % 3 == 0 && counters.len() <= 9 =>
        {
            let mut names = [EcnCounter::Ect0, EcnCounter::Ce, EcnCounter::Ect1];
            if kind == ACCURATE_ECN_1 {
                names.reverse();
            }
            let count =
                |octets: &[u8]| octets.iter().fold(0, |n, octet| n << 8 | u32::from(*octet));
            let counts = counters.chunks(3).map(count);
            Some(TcpOption::AccurateEcn(
                names.into_iter().zip(counts).collect(),
            ))
        }
        (19, digest) => Some(TcpOption::Md5(digest.to_vec())),
        _ => None,
    }
}
