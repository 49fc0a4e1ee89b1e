//! Owns the program that fuzzes `innkeeper::fuzz::upstream`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::upstream(data));
