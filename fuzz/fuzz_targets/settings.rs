//! Owns the program that fuzzes `innkeeper::fuzz::settings`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::settings(data));
