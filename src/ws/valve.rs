//! Owns `Valve`, the byte sink of unit tests, which accepts a set number of bytes.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    rc::Rc,
};

use super::outbox::ByteSink;

/// Accepts `room` bytes, then no more.
#[derive(Default)]
pub(crate) struct Valve {
    pub room: Cell<usize>,
    pub taken: RefCell<Vec<u8>>,
}

impl Valve {
    /// A valve that accepts everything.
    pub(crate) fn open() -> Rc<Self> {
        Rc::new(Self { room: Cell::new(usize::MAX), ..Self::default() })
    }
}

impl ByteSink for Rc<Valve> {
    fn try_write_vectored(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut written = 0;
        for slice in slices {
            let part = &slice[..slice.len().min(self.room.get())];
            self.taken.borrow_mut().extend_from_slice(part);
            self.room.set(self.room.get() - part.len());
            written += part.len();
        }
        if written > 0 { Ok(written) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}
