//! `trifold-pack audit`: on files made here, on real wheels, and on what is damaged.

mod bounds;
mod damaged;
mod docs;
mod elf;
mod program;
mod support;
mod synthetic;
mod wheel;
mod wheels;
