//! Stub.
//! stub.
