//! Watches everything that an agent watches and says what it costs.
//!
//! `cargo run --release -p fairlead-api --example watch_all -- KUBECONFIG [NODE]`

use std::collections::BTreeMap;
use std::time::Instant;

use fairlead_api::{Options, WatchOptions, connect, watch};
use fairlead_model::{Event, Kind};

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let kubeconfig = arguments.next().ok_or("usage: watch_all KUBECONFIG [NODE]")?;
    let options = Options { kubeconfig: Some(kubeconfig.into()), ..Options::default() };
    println!("before: {}", memory());
    let start = Instant::now();
    let connection = connect(&options).await?;
    println!("{connection:?} in {:?}: {}", start.elapsed(), memory());
    let options = WatchOptions { node_name: arguments.next(), ..WatchOptions::default() };
    let mut watch = watch(&connection.client, &options);
    let mut counts = BTreeMap::new();
    let mut synced = 0;
    while synced < Kind::ALL.len() {
        match watch.events.recv().await.ok_or("the watches ended")? {
            Event::Apply(object) => *counts.entry(object.kind()).or_insert(0) += 1,
            Event::Synced(_) => synced += 1,
            _ => {}
        }
    }
    println!("in sync with {counts:?} in {:?}: {}", start.elapsed(), memory());
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    println!("three seconds later: {}", memory());
    Ok(())
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = ["VmHWM", "VmRSS", "RssAnon", "Threads"];
    let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    lines
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}
