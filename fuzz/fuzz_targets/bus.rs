//! Owns the program that fuzzes `innkeeper::fuzz::bus`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::bus(data));
