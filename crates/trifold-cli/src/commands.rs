//! The commands, one module each: `Args` for clap, `run` for the work.

pub(crate) mod chat;
pub(crate) mod demo;
pub(crate) mod devices;
pub(crate) mod doctor;
pub(crate) mod draw;
pub(crate) mod embed;
pub(crate) mod generate;
pub(crate) mod input;
pub(crate) mod inspect;
pub(crate) mod model;
pub(crate) mod output;
pub(crate) mod rpc_server;
pub(crate) mod sampling;
pub(crate) mod transcribe;
