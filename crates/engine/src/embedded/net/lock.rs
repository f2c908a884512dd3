//! One change at a time to what all meshkeep servers of a host share: the table, and the choice of networks.

use std::fs::File;

use rustix::fs::{FlockOperation, flock};

use super::error::NetError;

/// Held while shared things are looked at and changed. The lock is on the network namespace itself: exactly those who
/// share its links wait for each other, whatever they see of the file system, and it ends with its holder.
pub(super) struct NamespaceLock {
    _namespace: File,
}

impl NamespaceLock {
    /// Waits for the lock.
    pub fn acquire() -> Result<Self, NetError> {
        let namespace =
            File::open("/proc/thread-self/ns/net").map_err(NetError::kernel("name this network namespace"))?;
        flock(&namespace, FlockOperation::LockExclusive)
            .map_err(|error| NetError::kernel("lock this network namespace")(error.into()))?;
        Ok(Self { _namespace: namespace })
    }
}
