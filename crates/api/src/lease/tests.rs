use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// A Lease in memory, that can be made unreachable.
#[derive(Default)]
struct Fake {
    lease: Mutex<Option<(Record, u64)>>,
    unreachable: AtomicBool,
    /// Requests hang instead of failing.
    hangs: AtomicBool,
}

impl Fake {
    async fn reach(&self) -> Result<(), Error> {
        if self.hangs.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.unreachable.load(Ordering::Relaxed) {
            return Err(Error::Request { what: "Lease".into(), why: "refused".into(), code: None });
        }
        Ok(())
    }

    fn holder(&self) -> String {
        self.lease.lock().unwrap().as_ref().map(|(r, _)| r.holder.clone()).unwrap_or_default()
    }

    fn transitions(&self) -> i32 {
        self.lease.lock().unwrap().as_ref().unwrap().0.transitions
    }
}

impl Store for Fake {
    async fn get(&self) -> Result<Option<(Record, String)>, Error> {
        self.reach().await?;
        Ok(self.lease.lock().unwrap().as_ref().map(|(r, v)| (r.clone(), v.to_string())))
    }

    async fn put(&self, record: &Record, version: Option<&str>) -> Result<String, Error> {
        self.reach().await?;
        let mut lease = self.lease.lock().unwrap();
        let current = lease.as_ref().map(|(_, v)| v.to_string());
        if current.as_deref() != version {
            return Err(Error::Request {
                what: "Lease".into(),
                why: "changed".into(),
                code: Some(409),
            });
        }
        let next = lease.as_ref().map_or(1, |(_, v)| v + 1);
        *lease = Some((record.clone(), next));
        Ok(next.to_string())
    }
}

/// What happened, with the second at which it did.
type Story = Rc<RefCell<Vec<(u64, String)>>>;

/// A way of this replica to the Lease that can break by itself.
struct Replica<'a> {
    shared: &'a Fake,
    cut: AtomicBool,
}

impl Store for Replica<'_> {
    async fn get(&self) -> Result<Option<(Record, String)>, Error> {
        if self.cut.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.shared.get().await
    }

    async fn put(&self, record: &Record, version: Option<&str>) -> Result<String, Error> {
        self.shared.put(record, version).await
    }
}

async fn stand(
    store: &impl Store,
    name: &str,
    start: Instant,
    story: &Story,
    shutdown: impl Future<Output = ()>,
) {
    let at = |what: &str| (start.elapsed().as_secs(), format!("{name} {what}"));
    lead(
        store,
        &LeaseOptions::new(name),
        |leads| story.borrow_mut().push(at(if leads { "leads" } else { "stops" })),
        std::future::pending::<()>,
        shutdown,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_first_leads_and_the_second_follows_at_once_when_it_leaves() {
    let fake = Fake::default();
    let story = Story::default();
    let start = Instant::now();
    tokio::join!(
        stand(&fake, "a", start, &story, tokio::time::sleep(Duration::from_secs(60))),
        stand(&fake, "b", start, &story, tokio::time::sleep(Duration::from_secs(100))),
    );
    let story = story.borrow();
    assert_eq!(story[0], (0, "a leads".into()));
    assert_eq!(story[1].1, "b leads");
    assert!((60..=63).contains(&story[1].0), "within one look: {story:?}");
    assert_eq!(fake.holder(), "", "given back");
    assert_eq!(fake.transitions(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_cut_off_stops_before_the_next_one_begins() {
    let fake = Fake::default();
    let story = Story::default();
    let start = Instant::now();
    let a = Replica { shared: &fake, cut: AtomicBool::new(false) };
    let end = || tokio::time::sleep(Duration::from_secs(120));
    tokio::join!(
        stand(&a, "a", start, &story, end()),
        stand(&fake, "b", start, &story, end()),
        async {
            tokio::time::sleep(Duration::from_secs(30)).await;
            a.cut.store(true, Ordering::Relaxed);
        },
    );
    let story = story.borrow();
    let when = |what: &str| story.iter().find(|(_, s)| s == what).unwrap().0;
    assert_eq!(when("a leads"), 0);
    assert!((36..=40).contains(&when("a stops")), "{story:?}");
    assert!((43..=50).contains(&when("b leads")), "{story:?}");
    assert!(when("a stops") < when("b leads"));
}

#[tokio::test(start_paused = true)]
async fn the_work_is_dropped_when_the_lead_is_lost_and_begun_again_when_it_is_back() {
    struct Running<'a>(&'a AtomicBool);
    impl Drop for Running<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Relaxed);
        }
    }
    let fake = Fake::default();
    let running = AtomicBool::new(false);
    let begun = std::cell::Cell::new(0);
    let work = || {
        begun.set(begun.get() + 1);
        running.store(true, Ordering::Relaxed);
        let guard = Running(&running);
        async move {
            let _guard = guard;
            std::future::pending::<()>().await;
        }
    };
    let script = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(running.load(Ordering::Relaxed));
        fake.unreachable.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(15)).await;
        assert!(!running.load(Ordering::Relaxed), "the lease is about to run out");
        fake.unreachable.store(false, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(running.load(Ordering::Relaxed));
    };
    lead(&fake, &LeaseOptions::new("a"), |_| {}, work, script).await;
    assert_eq!(begun.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_short_outage_costs_nothing() {
    let fake = Fake::default();
    let story = Story::default();
    let script = async {
        for outage in [&fake.unreachable, &fake.hangs] {
            tokio::time::sleep(Duration::from_secs(20)).await;
            outage.store(true, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(4)).await;
            outage.store(false, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
    };
    stand(&fake, "a", Instant::now(), &story, script).await;
    assert_eq!(*story.borrow(), [(0, "a leads".to_owned())]);
}

#[test]
fn a_lease_is_taken_only_when_its_holder_was_silent_for_the_holders_own_duration() {
    let options = LeaseOptions::new("me");
    let mut me = core::Candidate::new(&options);
    let held = |version: &str| {
        let duration = Duration::from_secs(30);
        let record = Record { holder: "other".into(), duration, transitions: 4, acquires: false };
        Some((record, version.to_owned()))
    };
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    assert_eq!(me.look(held("1"), at(0)), Step::Wait);
    assert_eq!(me.look(held("1"), at(29)), Step::Wait);
    assert_eq!(me.look(held("2"), at(30)), Step::Wait, "it was renewed");
    assert_eq!(me.look(held("2"), at(59)), Step::Wait);
    let Step::Write(taken) = me.look(held("2"), at(60)) else { panic!("free to take") };
    assert_eq!((taken.holder.as_str(), taken.transitions), ("me", 5));
    assert!(taken.acquires && me.give_back().is_none(), "not held before it is written");
}
