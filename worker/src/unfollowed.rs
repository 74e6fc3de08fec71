//! Opening what an agent may have put in place: no link is followed.
//!
//! What holds: a link in the last part of a name is an error. The parts before it are for the caller to
//! open one by one.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::path::Arg;

/// Opens a directory inside another one.
pub(crate) fn directory(within: impl AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(within, name, flags, Mode::empty())
}

/// Opens a thing to read it; a pipe without waiting for its other end.
pub(crate) fn file(within: impl AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(within, name, flags, Mode::empty())
}

/// Names a thing, a link too, without opening it.
pub(crate) fn named(within: impl AsFd, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    openat(within, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}
