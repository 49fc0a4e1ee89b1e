//! Owns the program that fuzzes `innkeeper::fuzz::document`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::document(data));
