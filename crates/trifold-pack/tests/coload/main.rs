//! `coload`, as a user runs it, on small libraries, modules and wheels that are made here.

mod libraries;
mod packages;
mod refused;
mod support;
