//! The capture: what the first side's interface sees, with the story as comments.

use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::Duration;

use handwave_capture::{CaptureError, LinkType, Packet, Writer};
use handwave_story::{Language, Step, Story, What};

use super::world::Tapped;
use crate::failure::{Failure, Kind};

/// Creates the file.
pub(crate) fn create(path: &Path) -> Result<(Writer<BufWriter<File>>, PathBuf), Failure> {
    let writer = Writer::create(path, LinkType::RawIp, "client");
    let writer = writer.map_err(|error| unwritable(path, &error))?;
    Ok((writer, path.to_owned()))
}

/// Writes the packets and closes the file.
pub(crate) fn write(
    mut writer: Writer<BufWriter<File>>,
    path: &Path,
    tapped: &[Tapped],
    story: &Story,
    language: Language,
) -> Result<(), Failure> {
    // Journeys became steps in their order.
    let segments: Vec<&Step> = story
        .steps
        .iter()
        .filter(|step| matches!(step.what, What::Segment(_)))
        .collect();
    for seen in tapped {
        let octets = seen.packet.to_vec();
        let mut packet = Packet::new(Duration::from_nanos(seen.at.as_nanos()), octets)
            .with_direction(seen.direction);
        let says = seen
            .transit
            .and_then(|index| segments.get(index))
            .map(|step| &step.says[..]);
        let texts: Vec<String> = says
            .unwrap_or_default()
            .iter()
            .map(|says| says.text(language, story))
            .collect();
        if !texts.is_empty() {
            packet = packet.with_comment(texts.join(" "));
        }
        writer
            .write(&packet)
            .map_err(|error| unwritable(path, &error))?;
    }
    writer.finish().map_err(|error| unwritable(path, &error))?;
    Ok(())
}

fn unwritable(path: &Path, error: &CaptureError) -> Failure {
    Failure::new(Kind::Input, format!("cannot write {}", path.display()))
        .because(error)
        .hint("name a file in a directory you may write to")
}
