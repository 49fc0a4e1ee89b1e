//! Owns the program that fuzzes `innkeeper::fuzz::records`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::records(data));
