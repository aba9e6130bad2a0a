//! The decisions, as functions from what is there to what to do.

pub mod ranges;
pub mod service;
