//! How long a pod's link takes: `cargo test --release -p fairlead-link --test bench -- --ignored
//! --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod common;

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use common::{node, spec};
use fairlead_link::Netns;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement"]
async fn attach_and_detach_in_milliseconds() {
    let Some(node) = node() else { return };
    node.link.prepare_host().await.unwrap();
    for addresses in [&["10.244.0.5"][..], &["10.244.0.5", "fd00::5"]] {
        let (mut attach, mut again, mut detach) = (Vec::new(), Vec::new(), Vec::new());
        // Kept until the end: the kernel's cleanup of namespaces would be measured too.
        let mut pods = Vec::new();
        for _ in 0..200 {
            let pod = Netns::unnamed().unwrap();
            let spec = spec("bench", addresses);
            let start = Instant::now();
            node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
            attach.push(start.elapsed());
            let start = Instant::now();
            node.link.attach_pod(pod.as_fd(), &spec).await.unwrap();
            again.push(start.elapsed());
            let start = Instant::now();
            node.link.detach_pod(&spec.host_name).await.unwrap();
            detach.push(start.elapsed());
            pods.push(pod);
        }
        let (attach, again, detach) = (median(attach), median(again), median(detach));
        println!("{addresses:?}: attach {attach:?}, again {again:?}, detach {detach:?}");
    }
}
