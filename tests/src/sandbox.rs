use crate::holder::Holder;
use crate::underlay::{ip_batch, skip_dad};
use crate::{Attachment, Host, LabError, Node, Place};

/// A network namespace on a node, with nothing in it: what a runtime hands to CNI.
#[derive(Debug)]
pub struct Sandbox {
    place: Place,
    holder: Holder,
}

impl Sandbox {
    /// A new namespace in the cgroup of `node`.
    pub fn new(node: &Node) -> Result<Self, LabError> {
        let place = Place::here().in_cgroup(node.cgroup())?;
        let holder = Holder::start(&place.clone().with_own_net(), "")?;
        let place = place.in_net_of(holder.pid())?;
        Ok(Self { place, holder })
    }

    /// What CNI is told of it, as container `id`.
    pub fn attachment(&self, id: &str) -> Attachment {
        Attachment {
            container: id.into(),
            netns: format!("/proc/{}/ns/net", self.holder.pid()),
            ifname: "eth0".into(),
            args: "IgnoreUnknown=1".into(),
        }
    }

    /// Connects two sandboxes by one link and nothing else: 192.0.2.1 and 192.0.2.2.
    pub fn connect(one: &Self, two: &Self, mtu: u32) -> Result<(), LabError> {
        let far = format!("eth0 mtu {mtu} netns {}", two.holder.pid());
        let pair = format!("link add eth0 mtu {mtu} type veth peer name {far}");
        ip_batch(&one.place, &[pair])?;
        for (sandbox, host) in [(one, 1), (two, 2)] {
            skip_dad(&sandbox.place, "eth0")?;
            let address = format!("addr add 192.0.2.{host}/24 dev eth0");
            ip_batch(
                &sandbox.place,
                &["link set lo up".into(), "link set eth0 up".into(), address],
            )?;
        }
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.holder.pid()
    }
}

impl Host for Sandbox {
    fn place(&self) -> &Place {
        &self.place
    }
}
