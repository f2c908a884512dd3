//! Converts layer blobs side by side and prints how long it took: the writer alone, without a registry.
//!
//! `convert_layers OUT-DIRECTORY BLOB…`, blobs named `.gz`, `.zst` or neither.

use std::{fs::File, path::Path, process::ExitCode, thread, time::Instant};

use meshkeep_image::layer::{self, Compression, Limits};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(out) = arguments.next() else {
        eprintln!("convert_layers OUT-DIRECTORY BLOB…");
        return ExitCode::from(2);
    };
    let blobs: Vec<_> = arguments.collect();
    let begun = Instant::now();
    let outcomes = thread::scope(|scope| {
        let convert = |(at, blob)| {
            let out = Path::new(&out).join(format!("{at}.erofs"));
            scope.spawn(move || convert(Path::new(blob), &out))
        };
        let threads: Vec<_> = blobs.iter().enumerate().map(convert).collect();
        threads.into_iter().map(|thread| thread.join().expect("a conversion does not panic")).collect::<Vec<_>>()
    });
    let seconds = begun.elapsed().as_secs_f64();
    for (blob, outcome) in blobs.iter().zip(&outcomes) {
        println!("{}: {}", blob.display(), outcome.as_ref().unwrap_or_else(|error| error));
    }
    println!("{seconds:.3} s for {} layers", blobs.len());
    if outcomes.iter().all(Result::is_ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn convert(blob: &Path, out: &Path) -> Result<String, String> {
    let compression = match blob.extension().and_then(|extension| extension.to_str()) {
        Some("gz") => Compression::Gzip,
        Some("zst") => Compression::Zstd,
        _ => Compression::None,
    };
    let begun = Instant::now();
    let (blob, out) = (File::open(blob).map_err(text)?, File::create(out).map_err(text)?);
    let made = layer::convert(blob, compression, &out, &Limits::default()).map_err(text)?;
    let converted = begun.elapsed();
    out.sync_all().map_err(text)?;
    let (mib, seconds) = (made.uncompressed_bytes as f64 / f64::from(1 << 20), converted.as_secs_f64());
    Ok(format!(
        "{} entries, {mib:.0} MiB of tar, {} MiB of image, {seconds:.3} s ({:.0} MiB/s), {:.3} s to the disk",
        made.entries,
        made.image_bytes >> 20,
        mib / seconds,
        (begun.elapsed() - converted).as_secs_f64()
    ))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
