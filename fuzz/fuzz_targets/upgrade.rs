//! Owns the program that fuzzes `innkeeper::fuzz::upgrade`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::upgrade(data));
