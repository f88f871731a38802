//! The hub's bounds and times.

use std::time::Duration;

/// What `deploy/ostler.toml` shows under `[workers]` and `[limits]`, an operator may set. The rest are
/// constants of a node: `Default` decides, and fields are there for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How often each side of a link shows that it is alive.
    pub heartbeat: Duration,
    /// So many missing heartbeats end a link.
    pub heartbeats_missed_max: u32,
    /// From connect to `Hello` with everything in it.
    pub handshake_timeout: Duration,
    /// How often deadlines and graces are looked at: how late they may be.
    pub sweep: Duration,
    /// How long a plain call outlives its link.
    pub grace_plain: Duration,
    /// How long a kept call outlives its link, and an unclaimed one its owner.
    pub grace_kept: Duration,
    /// How long a worker may take to end a cancelled call.
    pub grace_cancel: Duration,
    /// How long a call that ended here waits for its worker to end it too. Until then it takes
    /// the worker's room.
    pub grace_abandoned: Duration,
    /// Bytes a worker may send ahead of what was taken in.
    pub byte_credit: usize,
    /// Bytes of calls that may be on the way to a worker unacknowledged.
    pub unacknowledged_bytes_max: usize,
    /// Bytes of calls that may wait here for one worker; more calls are refused.
    pub waiting_bytes_max: usize,
    /// Bytes of control frames that may wait here for one worker, besides the names of watched
    /// resources: a worker that reads none of them is given up.
    pub control_bytes_max: usize,
    /// Bytes held for calls of one worker that nobody owns. At the bound the worker may send
    /// nothing more, and gets no new calls, until they are claimed or given up. At worst what it
    /// was already allowed to send comes on top: its open transfers and its credit.
    pub unowned_bytes_max: usize,
    /// Bytes of unfinished transfers of one worker.
    pub open_transfer_bytes_max: usize,
    /// All catalogs of one worker, in bytes.
    pub catalog_bytes_max: usize,
    /// Worker ids of one credential: linked, or lost so lately that their calls may go on.
    pub workers_per_credential_max: usize,
    /// Catalogs of all workers of one credential, in bytes. What is made of them takes some times that.
    pub catalog_bytes_per_credential_max: usize,
    /// Workers of one credential in their handshake; more are refused, and try again. Each may have sent
    /// `catalog_bytes_max` before it is known who it is: at worst 16 times 16 MiB, as much as all linked
    /// ones may have. A handshake is over when its `Hello` is here, so that a fleet is linked soon all the same.
    pub handshakes_per_credential_max: usize,
    /// One outcome, in bytes.
    pub outcome_bytes_max: usize,
    /// Nesting of JSON from workers.
    pub json_depth_max: usize,
    /// Progress and logs that wait for one owner: the oldest go first.
    pub chatter_len_max: usize,
    pub chatter_bytes_max: usize,
    /// Progress and logs of one worker in a second, before it is throttled.
    pub chatter_per_second_max: u32,
    /// Questions of one call that nobody has answered yet, in bytes.
    pub ask_bytes_max: usize,
    /// Calls of one worker that nobody owns.
    pub orphans_per_worker_max: usize,
    /// Servers of one worker.
    pub servers_per_worker_max: usize,
    /// Resources watched at once.
    pub watches_max: usize,
    /// Resources of one tenant watched at once.
    pub watches_per_tenant_max: usize,
    /// Updates of one resource are told to one listener no more often.
    pub watch_interval: Duration,
    /// Links of one worker id with one credential in ten seconds, before it is told to wait.
    pub links_per_ten_seconds_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(2),
            heartbeats_missed_max: 2,
            handshake_timeout: Duration::from_secs(10),
            sweep: Duration::from_millis(100),
            grace_plain: Duration::from_secs(1),
            grace_kept: Duration::from_secs(30),
            grace_cancel: Duration::from_secs(5),
            grace_abandoned: Duration::from_secs(60),
            byte_credit: 512 << 10,
            unacknowledged_bytes_max: 512 << 10,
            waiting_bytes_max: 64 << 20,
            control_bytes_max: 8 << 20,
            unowned_bytes_max: 64 << 20,
            open_transfer_bytes_max: 64 << 20,
            catalog_bytes_max: 16 << 20,
            workers_per_credential_max: 256,
            catalog_bytes_per_credential_max: 256 << 20,
            handshakes_per_credential_max: 16,
            outcome_bytes_max: 16 << 20,
            json_depth_max: 64,
            chatter_len_max: 256,
            chatter_bytes_max: 256 << 10,
            chatter_per_second_max: 10_000,
            ask_bytes_max: 1 << 20,
            orphans_per_worker_max: 10_000,
            servers_per_worker_max: 256,
            watches_max: 10_000,
            watches_per_tenant_max: 2_500,
            watch_interval: Duration::from_millis(100),
            links_per_ten_seconds_max: 10,
        }
    }
}
