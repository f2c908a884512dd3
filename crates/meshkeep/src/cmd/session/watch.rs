//! A session looked at again and again; on a terminal its states and layers are drawn in place.
//!
//! The drawing goes to standard error, and only when that is a terminal: standard output keeps the result alone.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use meshkeep_core::{
    id::SessionId,
    wire::{LayerProgress, Session, Workload},
};
use tokio::time::{MissedTickBehavior, interval};

use crate::{
    client::Client,
    cmd::output::size,
    failure::{Failure, one_line},
};

/// How often the server is asked.
const EVERY: Duration = Duration::from_millis(200);

/// Asks until `done`.
pub(super) async fn until(client: &Client, id: SessionId, done: impl Fn(&Session) -> bool) -> Result<Session, Failure> {
    let id = id.to_string();
    let mut drawing = Drawing::new();
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let session: Session = client.get(&["sessions", &id]).await?;
        if done(&session) {
            drawing.draw(&[]);
            return Ok(session);
        }
        drawing.draw(&lines(&session));
    }
}

/// Lines at the bottom of a terminal that are drawn over.
struct Drawing {
    is_terminal: bool,
    drawn: usize,
}

impl Drawing {
    fn new() -> Self {
        Self { is_terminal: io::stderr().is_terminal(), drawn: 0 }
    }

    fn draw(&mut self, lines: &[String]) {
        if !self.is_terminal {
            return;
        }
        let width = columns();
        let mut text = String::new();
        if self.drawn > 0 {
            // Back to the first line, and all below it away.
            text.push_str(&format!("\x1b[{}A\x1b[J", self.drawn));
        }
        for line in lines {
            // A line that wraps would take two.
            text.extend(line.chars().take(width - 1));
            text.push('\n');
        }
        self.drawn = lines.len();
        // A terminal that went away cannot show it.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// A terminal that does not know its width says 0.
fn columns() -> usize {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).max(20),
        _ => 80,
    }
}

/// One line per service, and one per layer that is on its way.
fn lines(session: &Session) -> Vec<String> {
    let workloads = session.workloads.as_deref().unwrap_or_default();
    let width = workloads.iter().map(|workload| workload.service_name.chars().count()).max().unwrap_or_default();
    workloads.iter().flat_map(|workload| of_workload(workload, width)).collect()
}

fn of_workload(workload: &Workload, width: usize) -> Vec<String> {
    let mut first = format!("{:<width$}  {}", workload.service_name, workload.state);
    if !workload.progress.is_empty() {
        let (done, total) = workload.progress.iter().fold((0, 0), |(d, t), layer| (d + layer.done, t + layer.total));
        first.push_str(&format!("  {} of {}", size(done), size(total)));
    }
    if let Some(reason) = &workload.reason {
        first.push_str(&format!("  {}", one_line(&reason.message)));
    }
    let unfinished = workload.progress.iter().filter(|layer| layer.done < layer.total);
    std::iter::once(one_line_keeping_columns(&first)).chain(unfinished.map(layer)).collect()
}

fn layer(layer: &LayerProgress) -> String {
    const BAR: u64 = 20;
    let filled = (layer.done * BAR).checked_div(layer.total).unwrap_or_default().min(BAR);
    let bar: String = (0..BAR).map(|at| if at < filled { '#' } else { '.' }).collect();
    let digest: String = layer.layer.trim_start_matches("sha256:").chars().take(12).collect();
    format!("  {}  [{bar}] {} of {}", one_line(&digest), size(layer.done), size(layer.total))
}

fn one_line_keeping_columns(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_shows_how_far_it_is() {
        let shown = |done, total| layer(&LayerProgress { layer: "sha256:0123456789abcdef".to_owned(), done, total });
        assert_eq!(shown(512, 2048), "  0123456789ab  [#####...............] 512 B of 2.0 KiB");
        assert_eq!(shown(0, 0), "  0123456789ab  [....................] 0 B of 0 B");
        assert_eq!(shown(9, 3), "  0123456789ab  [####################] 9 B of 3 B");
    }
}
