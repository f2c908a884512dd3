//! Prints how many megabytes per second the redactor passes: `cargo run --release -p meshkeep-engine --example
//! redact_speed`.

use std::time::Instant;

use meshkeep_core::SecretText;
use meshkeep_engine::redact::Redactor;

const CHUNK: usize = 64 << 10;
const TOTAL: usize = 2 << 30;

fn main() {
    println!("values  chunks   MB/s");
    for count in [1, 10, 60] {
        for secret_every in [usize::MAX, 200] {
            let mb_per_second = measure(count, secret_every);
            let kind = if secret_every == usize::MAX { "clean" } else { "1 in 200 lines has a value" };
            println!("{count:>6}  {kind:<28} {mb_per_second:>6.0}");
        }
    }
    println!("of one 4 KiB key file: {:.0}", pass(Redactor::new([SecretText::new(key_file())]), &text(0, usize::MAX)));
}

fn measure(count: u64, secret_every: usize) -> f64 {
    pass(Redactor::new((0..count).map(|n| SecretText::new(value(n)))), &text(count, secret_every))
}

fn pass(mut redactor: Redactor, text: &[u8]) -> f64 {
    let mut out = Vec::with_capacity(2 * CHUNK);
    let started = Instant::now();
    let mut passed = 0;
    while passed < TOTAL {
        for chunk in text.chunks(CHUNK) {
            out.clear();
            redactor.push(chunk, &mut out);
            std::hint::black_box(&out);
            passed += chunk.len();
        }
    }
    passed as f64 / 1e6 / started.elapsed().as_secs_f64()
}

/// As random as values of secrets are, and the same in each run.
fn value(number: u64) -> String {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..40)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(alphabet[(state >> 32) as usize % alphabet.len()])
        })
        .collect()
}

fn key_file() -> String {
    (0..64).map(|n| format!("{}{}\n", value(2 * n + 1000), &value(2 * n + 1001)[..24])).collect()
}

/// 8 MiB of lines as web services write them.
fn text(values: u64, secret_every: usize) -> Vec<u8> {
    let mut text = String::new();
    for line in 0_usize.. {
        if text.len() >= 8 << 20 {
            break;
        }
        text.push_str(&format!(
            "2026-02-03T10:{:02}:{:02}.{:03}Z INFO server::http request method=GET path=/api/v1/items/{} status=200 \
             bytes={} took={}ms agent=\"Mozilla/5.0 (X11; Linux x86_64)\"",
            line / 60 % 60,
            line % 60,
            line % 1000,
            line * 7919 % 100_000,
            line * 31 % 9000,
            line % 250,
        ));
        if line % secret_every == secret_every - 1 {
            text.push_str(&format!(" token={}", value(line as u64 % values)));
        }
        text.push('\n');
    }
    text.into_bytes()
}
