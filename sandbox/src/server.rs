//! What all requests of one sandbox share.

use std::sync::atomic::{AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;
use uuid::Uuid;

use crate::clock::Clock;
use crate::delta::DeltaRules;
use crate::directory::{Directory, Handle};
use crate::faults::Faults;
use crate::gates::Gates;
use crate::login::Tokens;
use crate::options::Settings;
use crate::requests::RequestLog;

/// The members of a group and of the groups in it, as of one version of the directory.
pub(crate) struct Flattened {
    pub(crate) group: Handle,
    pub(crate) version: u64,
    pub(crate) members: Arc<Vec<Handle>>,
}

/// The shared state of a running sandbox.
pub(crate) struct Server {
    /// `http://host:port` or the public base; without a slash at the end.
    pub(crate) base: String,
    /// Tells this run from others: a link of another run is out of date.
    pub(crate) instance: String,
    directory: RwLock<Directory>,
    settings: RwLock<Settings>,
    tokens: Mutex<Tokens>,
    pub(crate) faults: Faults,
    pub(crate) gates: Gates,
    pub(crate) requests: RequestLog,
    pub(crate) clock: Clock,
    /// Goes up when all delta links are made to expire.
    pub(crate) delta_generation: AtomicU64,
    /// 410 or 400: what an expired delta link is answered with.
    pub(crate) delta_expired_status: AtomicU16,
    /// Goes up when all page tokens are made to expire.
    pub(crate) page_generation: AtomicU64,
    /// Goes up with every batch, so that each one is shuffled differently and reproducibly.
    pub(crate) batches: AtomicU64,
    /// The last list of transitive members that was asked for.
    pub(crate) transitive: Mutex<Option<Flattened>>,
    /// True when the sandbox stops; an end of the sender says the same.
    pub(crate) stop: watch::Receiver<bool>,
}

impl Server {
    /// The state at the start.
    pub(crate) fn new(
        base: String,
        instance: Uuid,
        directory: Directory,
        settings: Settings,
        stop: watch::Receiver<bool>,
    ) -> Server {
        Server {
            base,
            instance: instance.simple().to_string(),
            directory: RwLock::new(directory),
            settings: RwLock::new(settings),
            tokens: Mutex::default(),
            faults: Faults::default(),
            gates: Gates::new(),
            requests: RequestLog::default(),
            clock: Clock::default(),
            delta_generation: AtomicU64::new(0),
            delta_expired_status: AtomicU16::new(410),
            page_generation: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            transitive: Mutex::new(None),
            stop,
        }
    }

    /// The directory, to read.
    pub(crate) fn directory(&self) -> RwLockReadGuard<'_, Directory> {
        self.directory
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The directory, to change.
    pub(crate) fn directory_mut(&self) -> RwLockWriteGuard<'_, Directory> {
        self.directory
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the settings.
    pub(crate) fn settings<T>(&self, read: impl FnOnce(&Settings) -> T) -> T {
        read(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the settings.
    pub(crate) fn settings_mut(&self) -> RwLockWriteGuard<'_, Settings> {
        self.settings
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The issued tokens.
    pub(crate) fn tokens(&self) -> MutexGuard<'_, Tokens> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a delta needs to know besides the directory.
    pub(crate) fn delta_rules(&self) -> DeltaRules {
        self.settings(|settings| DeltaRules {
            page_size: settings.shown.delta_page_size,
            member_page: settings.shown.delta_member_page,
            instance: self.instance.clone(),
            generation: self.delta_generation.load(Ordering::SeqCst),
            expired_status: self.delta_expired_status.load(Ordering::SeqCst),
            page_generation: self.page_generation.load(Ordering::SeqCst),
            now: self.clock.now(),
        })
    }
}
