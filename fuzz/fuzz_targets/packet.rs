#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| meshkeep_core::fuzz::packet(data));
