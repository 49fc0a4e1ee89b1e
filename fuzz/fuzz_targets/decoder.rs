//! Owns the program that fuzzes `innkeeper::fuzz::decoder`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::decoder(data));
