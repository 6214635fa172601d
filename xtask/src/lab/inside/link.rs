//! A link that a guest outruns, on a host of whatever speed.

use super::host::Process;
use crate::lab::machine::NEWS;

/// The fastest such link, in bytes a second: as much as a lab machine carries with ease.
const FASTEST: f64 = 4.5e6;
/// Over one that is slower nobody would hear of a migration for too long.
const SLOWEST: f64 = 0.5e6;
/// The link carries this part of what the guest writes while nothing else runs on its host.
const PART: f64 = 1.0 / 8.0;
/// The downtime may be as long as the link takes for so many bytes, fewer than the guest writes to. What an emulated processor makes of a
/// moment is little beside that.
const IN_DOWNTIME: f64 = 13.5e6;

/// The options of migrations over a link that the guest in `process`, which runs here, outruns; it is watched for that.
pub(super) fn outrun_by(process: &Process) -> Result<[String; 4], String> {
    let fastest = options(FASTEST);
    let measured = process.ask("plan", &fastest.each_ref().map(String::as_str))?;
    let rate = measured["measured"]["dirty_rate_bytes_per_second"].as_f64().unwrap_or(0.0);
    let link = options((rate * PART).clamp(SLOWEST, FASTEST));
    println!("{NEWS}the guest writes {:.1} MB/s, over {}", rate / 1e6, link.join(" "));
    Ok(link)
}

fn options(bandwidth: f64) -> [String; 4] {
    let downtime = IN_DOWNTIME / bandwidth * 1000.0;
    let (bandwidth, downtime) = (format!("{bandwidth:.0}B/s"), format!("{downtime:.0}ms"));
    ["--bandwidth".to_owned(), bandwidth, "--max-downtime".to_owned(), downtime]
}
