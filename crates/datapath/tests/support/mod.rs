//! What the tests of the datapath share.

#![allow(dead_code, reason = "every test file uses a part of this")]

pub mod bench;
pub mod btf;
pub mod checksums;
pub mod lab;
pub mod packet;
pub mod replay;
pub mod rng;
pub mod scenario;
pub mod world;
