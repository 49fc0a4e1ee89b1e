//! Owns the program that fuzzes `innkeeper::fuzz::client_frame`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::client_frame(data));
