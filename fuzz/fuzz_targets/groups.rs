//! Owns the program that fuzzes `innkeeper::fuzz::groups`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| innkeeper::fuzz::groups(data));
