//! The kernel's programs against the reference model, packet by packet.

#![allow(clippy::unwrap_used, reason = "a test's fixture may panic")]

mod support;

use std::collections::BTreeMap;

use support::bench::Bench;
use support::lab;
use support::replay;
use support::scenario::Scenario;

/// `FAIRLEAD_SEED` runs another set; the failing seed is part of the message.
fn first_seed() -> u64 {
    std::env::var("FAIRLEAD_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

/// What generated packets must have come across, or the generator is at fault.
const INTERESTING: &[&str] = &[
    "FromPod Drop ExtensionHeaders",
    "FromPod Drop FragmentOrder",
    "FromPod Drop Malformed",
    "FromPod Drop NoBackend",
    "FromPod Drop SourceAddress",
    "FromPod Drop UnsupportedEthertype",
    "FromPod ToNeighbour",
    "FromPod ToNeighbour outside",
    "FromPod ToNeighbour outside rewritten ports",
    "FromPod ToPod",
    "FromPod ToPod rewritten error",
    "FromPod ToPod rewritten ports",
    "FromPod ToTunnel",
    "FromPod ToTunnel rewritten ports",
    "FromWire Pass unread",
    "FromWire ToPod",
    "FromWire ToPod rewritten echo",
    "FromWire ToPod rewritten error",
    "FromWire ToPod rewritten later fragment",
    "FromWire ToPod rewritten other",
    "FromWire ToPod rewritten ports",
    "ToOverlay Drop Tunnel",
    "ToOverlay Pass",
    "ToPod Pass",
    "ToWire Drop FragmentOrder",
    "ToWire Drop NatExhausted",
    "ToWire Pass rewritten echo",
    "ToWire Pass rewritten error",
    "ToWire Pass rewritten later fragment",
    "ToWire Pass rewritten other",
    "ToWire Pass rewritten ports",
];

#[test]
fn twenty_thousand_generated_packets_end_as_the_model_says() {
    lab::with_bpffs("the differential test", |bpffs| {
        let mut bench = Bench::new(bpffs);
        let mut happened = BTreeMap::<String, usize>::new();
        let mut seed = first_seed();
        while happened.values().sum::<usize>() < 20_000 {
            let scenario = Scenario::generate(seed, 60);
            match replay::run(&mut bench, &scenario) {
                Ok(all) => all.into_iter().for_each(|what| *happened.entry(what).or_default() += 1),
                Err((failing, text)) => {
                    let small = replay::shrink(&mut bench, &scenario, failing);
                    let text = replay::run(&mut bench, &small).err().map_or(text, |(_, t)| t);
                    let steps: String = small.steps.iter().map(|s| format!("{s:?}\n")).collect();
                    panic!("seed {seed}, {:?}, steps\n{steps}\n{text}", small.config);
                }
            }
            seed += 1;
        }
        let missing: Vec<_> = INTERESTING.iter().filter(|w| !happened.contains_key(**w)).collect();
        assert!(
            missing.is_empty(),
            "never happened, so the test showed nothing of it: {missing:?}"
        );
    });
}
