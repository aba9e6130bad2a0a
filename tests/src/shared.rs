//! One lab for all tests of a file.

use std::ops::Deref;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::{Lab, LabError, agent_binary, missing, skip};

/// A lab that the first test makes and the others use, one at a time.
pub struct Shared(Mutex<LazyLock<Result<Lab, LabError>>>);

/// A test's turn at a shared lab; when the test fails, it prints what the agents logged.
pub struct Entered<'l>(MutexGuard<'l, LazyLock<Result<Lab, LabError>>>);

impl Shared {
    /// A lab that `make` makes when it is first entered.
    pub const fn new(make: fn() -> Result<Lab, LabError>) -> Self {
        Self(Mutex::new(LazyLock::new(make)))
    }

    /// Waits for this test's turn. None, after saying so loudly, where labs with agents cannot run.
    /// Panics when the lab could not be made.
    pub fn enter(&self) -> Option<Entered<'_>> {
        if let Some(why) = missing().or_else(|| agent_binary().err().map(|e| e.to_string())) {
            skip(&why);
            return None;
        }
        self.enter_without_agent()
    }

    /// As [`Shared::enter`], for labs that start no agent.
    pub fn enter_without_agent(&self) -> Option<Entered<'_>> {
        if let Some(why) = missing() {
            skip(&why);
            return None;
        }
        // A test that failed leaves the lab as usable as one that passed: pods are dropped.
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = &**guard {
            panic!("{error}");
        }
        Some(Entered(guard))
    }
}

impl Deref for Entered<'_> {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        self.0.as_ref().expect("enter checked that there is a lab")
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}
