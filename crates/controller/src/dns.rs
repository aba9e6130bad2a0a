//! Makes the `kube-dns` Service where there is none, and again when it was deleted.

use fairlead_api::objects::{create_service, service_addresses, service_at, service_ranges};
use fairlead_api::{Client, Error, WatchOptions, watch};
use fairlead_model::{Event, Kind, ObjectName};
use tokio::time::{Instant, sleep_until};
use tracing::info;

use crate::config::Dns;
use crate::core::service::{Sources, addresses, name, service};
use crate::retry::{AGAIN, Complaints, complaint};

/// Runs until it is dropped.
pub(crate) async fn run(client: &Client, config: &Dns) {
    let options =
        WatchOptions { kinds: vec![Kind::Service], service: Some(name()), node_name: None };
    let mut watch = watch(client, &options);
    let mut complaints = Complaints::default();
    let mut listed = false;
    let mut exists = false;
    let mut again: Option<Instant> = None;
    loop {
        let timer = sleep_until(again.unwrap_or_else(Instant::now));
        tokio::select! {
            event = watch.events.recv() => match event {
                Some(Event::Restart(_)) => (listed, exists) = (false, false),
                Some(Event::Apply(_)) => exists = true,
                Some(Event::Delete(..)) => exists = false,
                Some(Event::Synced(_)) => listed = true,
                None => return,
            },
            () = timer, if again.is_some() => {}
        }
        again = None;
        if listed && !exists {
            match make(client, config).await {
                Ok(()) => complaints.settled(&name()),
                Err(why) => {
                    let sentence = complaint("Service", name(), "NotCreated", why);
                    complaints.say(client, sentence).await;
                    again = Some(Instant::now() + AGAIN);
                }
            }
        }
    }
}

/// Makes the Service; says in a sentence why it can't be made.
async fn make(client: &Client, config: &Dns) -> Result<(), String> {
    let addresses = addresses(&sources(client, config).await.map_err(|e| e.to_string())?);
    if addresses.is_empty() {
        return Err(
            "Service kube-system/kube-dns can't be made, since the cluster's Service range \
                    is not known: set dns.clusterIP in ConfigMap kube-system/fairlead"
                .into(),
        );
    }
    let new = service(addresses);
    match create_service(client, &new).await {
        Ok(()) => {
            info!(addresses = ?new.cluster_ips, "made Service {}", new.name);
            Ok(())
        }
        // Somebody else made it, and it stays as they did.
        Err(e) if e.is_conflict() => Ok(()),
        Err(e) if e.is_invalid() => {
            for address in &new.cluster_ips {
                if let Ok(Some(holder)) = service_at(client, *address).await {
                    return Err(taken(&address.to_string(), &holder));
                }
            }
            Err(e.to_string())
        }
        Err(e) => Err(e.to_string()),
    }
}

fn taken(address: &str, holder: &ObjectName) -> String {
    format!(
        "Service kube-system/kube-dns can't be made, since its address {address} is that of \
         Service {holder}: delete that one, or set dns.clusterIP in ConfigMap kube-system/fairlead \
         and clusterDNS of all kubelets to another address"
    )
}

async fn sources(client: &Client, config: &Dns) -> Result<Sources, Error> {
    let mut sources = Sources { configured: config.cluster_ip, ..Sources::default() };
    if sources.configured.is_none() {
        sources.ranges = service_ranges(client).await?;
    }
    if sources.configured.is_none() && sources.ranges.is_empty() {
        let kubernetes = ObjectName::new("default", "kubernetes");
        sources.kubernetes = service_addresses(client, &kubernetes).await?;
    }
    Ok(sources)
}
