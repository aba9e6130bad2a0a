//! The topologies, each with a client's place, a server's place, and an address between them.

use std::net::IpAddr;

use fairlead_tests::objects::{endpoint_slice, service};
use fairlead_tests::{
    Host, Lab, LabError, LabSpec, Place, PlainPod, PlainRouting, Pod, Routing, Sandbox,
    agent_binary,
};
use serde_json::json;

use crate::measure::{PORTS, SERVICE};

/// MTU of pods and links; the kernel's tunnel over 1500 leaves 1450.
const MTU: u32 = 1500;

/// Where the reference plugins of Debian's containernetworking-plugins are.
pub const PLUGINS: &str = "/usr/lib/cni";

/// Names of the topologies.
pub mod name {
    pub const BARE: &str = "one node: bare veth pair";
    pub const ROUTED: &str = "one node: kernel routing, two veth pairs";
    pub const BRIDGE: &str = "one node: bridge plugin";
    pub const POD: &str = "one node: fairlead, pod address";
    pub const SERVICE: &str = "one node: fairlead, Service address";
    pub const BARE_2: &str = "two nodes: bare veth pairs over the bridge";
    pub const ROUTED_2: &str = "two nodes: kernel routing";
    pub const DIRECT: &str = "two nodes: fairlead direct";
    pub const DIRECT_SERVICE: &str = "two nodes: fairlead direct, Service address";
    pub const KERNEL_VXLAN: &str = "two nodes: kernel vxlan";
    pub const VXLAN: &str = "two nodes: fairlead vxlan";
}

/// A client and a server.
pub struct Path {
    pub name: &'static str,
    pub client: Place,
    pub server: Place,
    pub address: IpAddr,
    /// Whether a path before it has started the server.
    pub served: bool,
}

/// All labs at once; what is idle costs nothing.
pub struct Topologies {
    pub paths: Vec<Path>,
    plain: Lab,
    fairlead: Vec<Lab>,
    _keep: Vec<Box<dyn std::any::Any>>,
}

impl Topologies {
    /// Builds every topology that this machine can.
    pub fn build() -> Result<Self, LabError> {
        let plain = Lab::new(LabSpec { nodes: 2, ..LabSpec::default() })?;
        let mut all = Self { paths: vec![], plain, fairlead: vec![], _keep: vec![] };
        all.bare()?;
        all.kernel_routing()?;
        all.bridge()?;
        all.kernel_vxlan()?;
        if let Err(why) = agent_binary() {
            eprintln!("SKIPPED: fairlead: {why}");
            return Ok(all);
        }
        all.fairlead_direct()?;
        all.fairlead_vxlan()?;
        Ok(all)
    }

    /// The lab without agents.
    pub fn plain(&self) -> &Lab {
        &self.plain
    }

    /// The lab of agents with direct routes.
    pub fn fairlead(&self) -> Option<&Lab> {
        self.fairlead.first()
    }

    fn add(&mut self, name: &'static str, client: &impl Host, server: &impl Host, to: IpAddr) {
        let (client, server) = (client.place().clone(), server.place().clone());
        self.paths.push(Path { name, client, server, address: to, served: false });
    }

    fn bare(&mut self) -> Result<(), LabError> {
        let one = Sandbox::new(self.plain.node(1))?;
        let two = Sandbox::new(self.plain.node(1))?;
        Sandbox::connect(&one, &two, MTU)?;
        self.add(name::BARE, &one, &two, IpAddr::from([192, 0, 2, 2]));
        let (client, server) = (self.plain.node(1).place(), self.plain.node(2).place());
        let (client, server) = (client.clone(), server.clone());
        self.add(name::BARE_2, &client, &server, self.plain.node(2).addresses()[0]);
        self._keep.push(Box::new((one, two)));
        Ok(())
    }

    fn kernel_routing(&mut self) -> Result<(), LabError> {
        PlainRouting::direct(self.plain.nodes())?;
        let client = PlainPod::add(self.plain.node(1), 2, MTU)?;
        let near = PlainPod::add(self.plain.node(1), 3, MTU)?;
        let far = PlainPod::add(self.plain.node(2), 2, MTU)?;
        self.add(name::ROUTED, &client, &near, near.v4());
        self.add(name::ROUTED_2, &client, &far, far.v4());
        self._keep.push(Box::new((client, near, far)));
        Ok(())
    }

    fn bridge(&mut self) -> Result<(), LabError> {
        if !std::path::Path::new(PLUGINS).join("bridge").exists() {
            eprintln!("SKIPPED: bridge: install containernetworking-plugins");
            return Ok(());
        }
        let cni = crate::cni::bridge(self.plain.node(2));
        let client = Sandbox::new(self.plain.node(2))?;
        let server = Sandbox::new(self.plain.node(2))?;
        cni.add(&client.attachment("bridge-client"))?;
        let result = cni.add(&server.attachment("bridge-server"))?;
        let address = result["ips"][0]["address"].as_str().unwrap_or_default();
        let address = address.split('/').next().and_then(|ip| ip.parse().ok());
        let address = address.ok_or(LabError::Missing(format!("no address in {result}")))?;
        self.add(name::BRIDGE, &client, &server, address);
        self._keep.push(Box::new((client, server)));
        Ok(())
    }

    fn kernel_vxlan(&mut self) -> Result<(), LabError> {
        let lab = Lab::new(LabSpec { nodes: 2, ..LabSpec::default() })?;
        PlainRouting::vxlan(lab.nodes())?;
        let client = PlainPod::add(lab.node(1), 2, MTU - 50)?;
        let server = PlainPod::add(lab.node(2), 2, MTU - 50)?;
        self.add(name::KERNEL_VXLAN, &client, &server, server.v4());
        self._keep.push(Box::new((client, server, lab)));
        Ok(())
    }

    fn fairlead_direct(&mut self) -> Result<(), LabError> {
        let lab = agents(Routing::Direct)?;
        let (client, near) = (keep(lab.node(1).add_pod("client")?), lab.node(1).add_pod("near")?);
        let (near, far) = (keep(near), keep(lab.node(2).add_pod("far")?));
        self.add(name::POD, &client, &near, near.address);
        self.add(name::DIRECT, &client, &far, far.address);
        for (name, host, server) in [(name::SERVICE, 1, &near), (name::DIRECT_SERVICE, 2, &far)] {
            let address = serve(&lab, host, server.address);
            self.add(name, &client, server, address);
            self.paths.iter_mut().filter(|path| path.name == name).for_each(|p| p.served = true);
        }
        self.fairlead.push(lab);
        Ok(())
    }

    fn fairlead_vxlan(&mut self) -> Result<(), LabError> {
        let lab = agents(Routing::Vxlan)?;
        let (client, far) =
            (keep(lab.node(1).add_pod("client")?), keep(lab.node(2).add_pod("far")?));
        self.add(name::VXLAN, &client, &far, far.address);
        self.fairlead.push(lab);
        Ok(())
    }
}

/// What is needed of a pod that lives as long as its lab.
struct Kept {
    place: Place,
    address: IpAddr,
}

impl Host for Kept {
    fn place(&self) -> &Place {
        &self.place
    }
}

/// The pod is not deleted when this function's caller ends, but with its lab.
fn keep(pod: Pod<'_>) -> Kept {
    let kept = Kept { place: pod.place().clone(), address: pod.v4() };
    std::mem::forget(pod);
    kept
}

fn agents(routing: Routing) -> Result<Lab, LabError> {
    Lab::with_agents(LabSpec { nodes: 2, routing, ..LabSpec::default() })
}

/// A Service with a port for each server (one a CPU), in TCP and UDP.
fn serve(lab: &Lab, host: u8, server: IpAddr) -> IpAddr {
    let address = IpAddr::from([SERVICE[0], SERVICE[1], SERVICE[2], host]);
    let names: Vec<_> =
        PORTS.iter().map(|port| (format!("tcp{port}"), format!("udp{port}"))).collect();
    let ports: Vec<_> = PORTS
        .iter()
        .zip(&names)
        .flat_map(|(port, (tcp, udp))| [(tcp.as_str(), "TCP", *port), (udp.as_str(), "UDP", *port)])
        .collect();
    let name = format!("bench-{host}");
    lab.apply(endpoint_slice(&name, &[(server, "n1")], &ports));
    let mut object = service(&name, &[&address.to_string()], &ports);
    object["metadata"]["labels"] = json!({"app": "bench"});
    lab.apply(object);
    address
}
