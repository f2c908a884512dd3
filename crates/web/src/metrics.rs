//! Numbers for Prometheus: requests by route, and the process itself. No name, id or value of a tenant.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Counted since the start of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    started: Instant,
    in_flight: AtomicU64,
    requests: Mutex<BTreeMap<Series, Count>>,
}

/// Method, matched path, status.
type Series = (String, String, u16);

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    requests: u64,
    micros: u64,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), in_flight: AtomicU64::new(0), requests: Mutex::default() }
    }

    /// Counts a request as in flight until the answer's head is there or the caller is gone.
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    /// Counts an answered request. `path` is a route's pattern, never a raw path: the series are bounded.
    pub(crate) fn answered(&self, method: &str, path: &str, status: u16, took: Duration) {
        // A panic while counting leaves whole numbers behind.
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let count = requests.entry((method.to_owned(), path.to_owned(), status)).or_default();
        count.requests += 1;
        count.micros += u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    }

    /// The text format, version 0.0.4.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(2048);
        gauge(
            &mut text,
            "meshkeep_uptime_seconds",
            "Seconds since the server started.",
            self.started.elapsed().as_secs(),
        );
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        gauge(&mut text, "meshkeep_http_requests_in_flight", "Requests whose answer has not begun.", in_flight);
        if let Some(bytes) = resident_bytes() {
            gauge(&mut text, "process_resident_memory_bytes", "Resident memory of the server.", bytes);
        }
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let mut series = |name: &str, help: &str, value: fn(&Count) -> String| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
            for ((method, path, status), count) in &*requests {
                let labels = format!("method=\"{method}\",path=\"{path}\",status=\"{status}\"");
                let _ = writeln!(text, "{name}{{{labels}}} {}", value(count));
            }
        };
        series("meshkeep_http_requests_total", "Requests answered, by route.", |count| count.requests.to_string());
        series("meshkeep_http_request_seconds_total", "Time until the answer began, by route.", |count| {
            format!("{}.{:06}", count.micros / 1_000_000, count.micros % 1_000_000)
        });
        text
    }
}

/// One request that is being answered.
pub(crate) struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn gauge(text: &mut String, name: &str, help: &str, value: u64) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}");
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}
