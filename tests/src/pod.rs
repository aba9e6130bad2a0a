//! A pod: a network namespace, a cgroup below its node's, and the CNI result.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::cni::addresses;
use crate::holder::Holder;
use crate::{Attachment, Host, LabError, Node, Place, cgroup, objects};

/// What a pod is called and carries.
#[derive(Clone, Debug)]
pub struct PodSpec {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its labels.
    pub labels: Vec<(String, String)>,
}

impl PodSpec {
    /// A pod of namespace `default`, labelled `app: <name>`.
    pub fn named(name: &str) -> Self {
        let labels = vec![("app".into(), name.into())];
        Self { name: name.into(), namespace: "default".into(), labels }
    }
}

/// A running pod. Dropping it deletes it.
#[derive(Debug)]
pub struct Pod<'n> {
    node: &'n Node,
    spec: PodSpec,
    place: Place,
    cgroup: PathBuf,
    attachment: Attachment,
    result: Value,
    holder: Option<Holder>,
}

impl<'n> Pod<'n> {
    /// As the kubelet and a runtime make a pod: the object exists before its sandbox, and gets its
    /// addresses after ADD.
    pub(crate) fn add(node: &'n Node, spec: PodSpec) -> Result<Self, LabError> {
        let cgroup = node.cgroup().join("pods").join(format!("{}_{}", spec.namespace, spec.name));
        cgroup::make(&cgroup)?;
        let place = Place::here().in_cgroup(&cgroup)?;
        let holder = Holder::start(&place.clone().with_own_net(), "")?;
        let place = place.in_net_of(holder.pid())?;
        let attachment = attachment(&spec, holder.pid());
        let holder = Some(holder);
        let mut pod = Self { node, spec, place, cgroup, attachment, result: Value::Null, holder };
        node.store().apply(pod.object());
        pod.result = node.cni()?.add(&pod.attachment)?;
        node.store().apply(pod.object());
        Ok(pod)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its addresses, in the order of the CNI result.
    pub fn addresses(&self) -> Vec<IpAddr> {
        addresses(&self.result)
    }

    /// Its IPv4 address. Panics when it has none.
    pub fn v4(&self) -> IpAddr {
        self.addresses().into_iter().find(IpAddr::is_ipv4).expect("the pod has an IPv4 address")
    }

    /// Its IPv6 address. Panics when it has none.
    pub fn v6(&self) -> IpAddr {
        self.addresses().into_iter().find(IpAddr::is_ipv6).expect("the pod has an IPv6 address")
    }

    /// Its node.
    pub fn node(&self) -> &'n Node {
        self.node
    }

    /// The whole result of ADD.
    pub fn result(&self) -> &Value {
        &self.result
    }

    /// What CNI was told of it.
    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    /// Its namespace, but none of the node's cgroups: socket hooks don't see what runs here, as they
    /// don't see a nested container engine's processes.
    pub fn outside_cgroup(&self) -> Place {
        self.place.clone().outside_cgroup()
    }

    /// Its Pod object as it is now.
    pub fn object(&self) -> Value {
        objects::pod(&self.spec, self.node.name(), &self.node.addresses(), &self.addresses())
    }

    /// Ends its processes, then CNI DEL, then its object.
    pub fn delete(mut self) -> Result<(), LabError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), LabError> {
        let Some(holder) = self.holder.take() else { return Ok(()) };
        // A runtime calls DEL while the namespace is still there.
        let deleted = self.node.cni().and_then(|cni| cni.del(&self.attachment, &self.result));
        self.node.store().delete(&self.object());
        drop(holder);
        cgroup::remove(&self.cgroup);
        deleted
    }
}

impl Host for Pod<'_> {
    fn place(&self) -> &Place {
        &self.place
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        if let Err(error) = self.end()
            && !std::thread::panicking()
        {
            eprintln!("deleting pod '{}': {error}", self.spec.name);
        }
    }
}

fn attachment(spec: &PodSpec, pid: u32) -> Attachment {
    static COUNT: AtomicUsize = AtomicUsize::new(1);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let container = format!("{:08x}{number:056x}", std::process::id());
    let (namespace, name) = (&spec.namespace, &spec.name);
    Attachment {
        args: format!(
            "IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};\
             K8S_POD_INFRA_CONTAINER_ID={container}"
        ),
        container,
        netns: format!("/proc/{pid}/ns/net"),
        ifname: "eth0".into(),
    }
}

impl PodSpec {
    pub(crate) fn metadata(&self) -> Value {
        let labels: serde_json::Map<_, _> =
            self.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        json!({"name": self.name, "namespace": self.namespace, "labels": labels})
    }
}
