//! The kernel's programs against the reference model, packet by packet.

mod support;

use support::bench::Bench;
use support::lab;
use support::scenario::{self, Scenario};

/// `FAIRLEAD_SEED` runs another set; the failing seed is part of the message.
fn first_seed() -> u64 {
    std::env::var("FAIRLEAD_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

#[test]
fn twenty_thousand_generated_packets_end_as_the_model_says() {
    lab::with_bpffs("the differential test", |bpffs| {
        let mut bench = Bench::new(bpffs);
        let (mut seed, mut packets) = (first_seed(), 0);
        while packets < 20_000 {
            let scenario = Scenario::generate(seed, 60);
            match scenario::run(&mut bench, &scenario) {
                Ok(count) => packets += count,
                Err((failing, text)) => {
                    let small = scenario::shrink(&mut bench, &scenario, failing);
                    let text = scenario::run(&mut bench, &small).err().map_or(text, |(_, t)| t);
                    let steps: String = small.steps.iter().map(|s| format!("{s:?}\n")).collect();
                    panic!("seed {seed}, {:?}, steps\n{steps}\n{text}", small.config);
                }
            }
            seed += 1;
        }
    });
}
