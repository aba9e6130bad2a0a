//! A node fails and comes back.

use crate::agents;
use crate::cluster::{Cluster, PATIENCE};
use crate::command::{holds, within};
use crate::installing;
use crate::paths;
use crate::pods;

pub fn comes_back(cluster: &Cluster) {
    let before = pods::all_ready(cluster);
    cluster.crash_node("n2");
    cluster.start_node("n2");
    within(PATIENCE, "n2 has an agent", || {
        holds(agents::pid(cluster, "n2").is_some(), || "none".into())
    });
    agents::all_well(cluster);
    installing::everything_ready(cluster, PATIENCE);
    within(PATIENCE, "every pod of n2 has a new container", || {
        let now = pods::all_ready(cluster);
        let same = |pod: &&pods::Pod| {
            pod.node == "n2" && pods::named(&before, &pod.name).place.is(&pod.place)
        };
        let old: Vec<_> = now.iter().filter(same).map(|pod| pod.name.clone()).collect();
        holds(old.is_empty(), || format!("{old:?} have the old one"))
    });
    installing::programs_run(cluster);
    // the node has another link address now, which its neighbours learn when the old one fails them
    within(PATIENCE, "all directions work again", || {
        let broken = paths::broken_directions(cluster);
        holds(broken.is_empty(), || format!("{broken:#?}"))
    });
    paths::services(cluster);
}
