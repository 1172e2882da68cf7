//! `trifold-pack audit`: on files made here, on real wheels, and on what is damaged.

mod damaged;
mod docs;
mod elf;
mod program;
mod support;
mod wheel;
mod wheels;
