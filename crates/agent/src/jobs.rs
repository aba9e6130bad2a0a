//! Work in the kernel that takes long, beside the agent's task.
//!
//! Attaching a program and removing a device wait for grace periods of RCU, tens of milliseconds,
//! with the lock of all network devices held. The agent's task keeps the records and decides; a job
//! does what waits, and comes back as an [`Outcome`]. Jobs of different attachments run at the same
//! time, those of one attachment in the order in which they were asked for.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};

use fairlead_cni::ipam::Record;
use fairlead_cni::protocol::{Attachment, Request, Response};
use fairlead_datapath::{Attacher, Role};
use fairlead_link::{Handle, PodLink, PodLinkSpec};
use fairlead_observe::status::Status;
use tokio::sync::{mpsc, oneshot};

use crate::Error;
use crate::status::Facts;

/// A request of the plugin, and who waits for its answer.
pub struct Asked {
    pub request: Request,
    pub netns: Option<OwnedFd>,
    pub reply: oneshot::Sender<Response>,
}

impl Asked {
    pub(crate) fn attachment(&self) -> Attachment {
        let Request { container_id, ifname, .. } = &self.request;
        Attachment { container_id: container_id.clone(), ifname: ifname.clone() }
    }

    /// Who no longer waits for an answer needs none.
    pub(crate) fn answer(self, response: Response) {
        let _ = self.reply.send(response);
    }
}

/// What a job comes back with.
pub(crate) enum Outcome {
    /// The link and its programs are there, or not.
    Attached {
        asked: Asked,
        record: Record,
        /// The attachment was there before this request.
        known: bool,
        result: Result<PodLink, Error>,
    },
    /// The link is as its record says, or what is wrong.
    Checked { asked: Asked, record: Record, result: Result<PodLink, Error> },
    /// The link is gone, or not; who asked gets `answer` if it is.
    Detached {
        attachment: Attachment,
        reply: oneshot::Sender<Response>,
        answer: Response,
        result: Result<(), Error>,
    },
    /// What the kernel says, for the status that somebody asked for.
    Facts { facts: Facts, reply: oneshot::Sender<Box<Status>> },
}

/// The attachments that are worked on.
pub(crate) struct Jobs {
    /// Each with the requests that wait for the one that is worked on.
    busy: BTreeMap<Attachment, VecDeque<Asked>>,
    done: mpsc::UnboundedSender<Outcome>,
}

impl Jobs {
    /// None at first. Outcomes come by the receiver.
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Outcome>) {
        let (done, outcomes) = mpsc::unbounded_channel();
        (Jobs { busy: BTreeMap::new(), done }, outcomes)
    }

    /// Whether an attachment is worked on.
    pub(crate) fn is_busy(&self, attachment: &Attachment) -> bool {
        self.busy.contains_key(attachment)
    }

    /// Hands the request back when it is its turn, else keeps it until it is.
    pub(crate) fn admit(&mut self, asked: Asked) -> Option<Asked> {
        match self.busy.entry(asked.attachment()) {
            std::collections::btree_map::Entry::Occupied(mut waiting) => {
                waiting.get_mut().push_back(asked);
                None
            }
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(VecDeque::new());
                Some(asked)
            }
        }
    }

    /// The attachment's request is answered: whose turn it is now.
    pub(crate) fn end(&mut self, attachment: &Attachment) -> Option<Asked> {
        let next = self.busy.get_mut(attachment).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.busy.remove(attachment);
        }
        next
    }

    /// Runs a job. One that was begun is carried through, also when the agent ends meanwhile: what
    /// it did then is found by the next agent.
    pub(crate) fn start(&self, job: impl Future<Output = Outcome> + Send + 'static) {
        let done = self.done.clone();
        tokio::spawn(async move {
            let _ = done.send(job.await);
        });
    }
}

/// The slow part of the kernel: pods' links, and programs on devices.
#[derive(Clone)]
pub(crate) struct Devices {
    pub link: Handle,
    pub attacher: Attacher,
}

impl Devices {
    /// Makes a pod's link, or finds it, then attaches its programs: when it returns, they see every
    /// packet.
    pub(crate) async fn attach_pod(
        &self,
        spec: &PodLinkSpec,
        netns: &OwnedFd,
    ) -> Result<PodLink, Error> {
        let link = self.link.attach_pod(netns.as_fd(), spec).await?;
        self.attach_device(&spec.host_name, link.host_ifindex, Role::Pod).await?;
        Ok(link)
    }

    /// The link first: pins of programs whose device is gone cost nothing.
    pub(crate) async fn detach_pod(&self, link: &str) -> Result<(), Error> {
        self.link.detach_pod(link).await?;
        self.detach_device(link).await
    }

    /// Attaches a device's programs, in place of those that are there.
    pub(crate) async fn attach_device(
        &self,
        name: &str,
        ifindex: u32,
        role: Role,
    ) -> Result<(), Error> {
        let name = name.to_owned();
        self.block(move |attacher| attacher.attach_device(&name, ifindex, role)).await
    }

    /// Detaches a device's programs.
    pub(crate) async fn detach_device(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.block(move |attacher| attacher.detach_device(&name)).await
    }

    /// bpf(2) blocks: on a thread that may.
    pub(crate) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Attacher) -> Result<T, fairlead_datapath::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let attacher = self.attacher.clone();
        let work = tokio::task::spawn_blocking(move || work(&attacher));
        Ok(work.await.map_err(|_| Error::Ending)??)
    }
}

#[cfg(test)]
mod tests {
    use fairlead_cni::protocol::Command;

    use super::*;

    fn asked(command: Command, container: &str) -> Asked {
        let mut request = Request::new(command);
        (request.container_id, request.ifname) = (container.into(), "eth0".into());
        Asked { request, netns: None, reply: oneshot::channel().0 }
    }

    #[test]
    fn requests_for_one_attachment_take_turns_and_others_do_not_wait() {
        let (mut jobs, _outcomes) = Jobs::new();
        let first = jobs.admit(asked(Command::Del, "a")).expect("nobody is before it");
        let attachment = first.attachment();
        assert!(jobs.admit(asked(Command::Add, "a")).is_none());
        assert!(jobs.admit(asked(Command::Check, "a")).is_none());
        assert!(jobs.admit(asked(Command::Add, "b")).is_some());
        for next in [Command::Add, Command::Check] {
            assert!(jobs.is_busy(&attachment));
            assert_eq!(jobs.end(&attachment).map(|asked| asked.request.command), Some(next));
        }
        assert!(jobs.end(&attachment).is_none());
        assert!(!jobs.is_busy(&attachment));
        assert!(jobs.admit(asked(Command::Add, "a")).is_some());
    }
}
