//! Nothing stays of many pods. A file of its own: descriptors are counted for the whole process.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::os::fd::AsFd;

use common::{node, picture, spec};
use fairlead_link::Netns;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn two_hundred_pods_leave_no_links_routes_or_descriptors() {
    let Some(node) = node() else { return };
    let pod = Netns::unnamed().unwrap();
    let (before, open) = (picture(&node.netns), descriptors());
    for index in 0..200 {
        let v4 = format!("10.244.0.{index}");
        let spec = spec(&index.to_string(), &[&v4, "fd00::5"]);
        node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
        node.link.detach_pod(&spec.host_name).await.unwrap();
    }
    assert_eq!(picture(&node.netns), before);
    assert!(!common::sh(&pod, "ip link").contains("eth0"));
    // Threads end after their answer: their descriptors may take a moment longer.
    common::eventually("all descriptors are closed", || descriptors() == open);
}
