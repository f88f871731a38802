//! The bounds and times of calls that outlive a request.

use std::time::Duration;

use ostler_types::Limits;

/// How long things are kept, and how many. What `deploy/ostler.toml` shows under `[task]` and
/// `[limits]`, an operator may set. `store_retry`, `questions_open_max`, `followers_max`,
/// `waiters_max`, `mailbox_len_max` and `updates_len_max` are constants of a node: `Default` decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a parked call waits for answers before it is cancelled [MR-10].
    pub park_timeout: Duration,
    /// How long a task is kept, counted from its creation [TK-7].
    pub task_ttl: Duration,
    /// Bound of `task_ttl` for tools that declare a longer run, and for clients that ask for it.
    pub task_ttl_max: Duration,
    /// How long the result of a task is kept at least, counted from its end.
    pub result_keep: Duration,
    /// What clients are told to wait between two looks at a task.
    pub poll_interval: Duration,
    /// How long a cancelled call may take to end before its task is called cancelled anyway.
    pub cancel_grace: Duration,
    /// How long after a restart a call may be named again by its worker.
    pub rebind_grace: Duration,
    /// How long a stopped node waits between two attempts to store what it could not store.
    pub store_retry: Duration,
    /// Unfinished tasks and parked calls of one principal, all Servers.
    pub unfinished_per_principal_max: usize,
    /// The same of one tenant.
    pub unfinished_per_tenant_max: usize,
    /// Rounds of questions one call may ask before it becomes a task [MR-11].
    pub rounds_max: u32,
    /// Questions open at once in one call.
    pub questions_open_max: usize,
    /// Keys of questions one task may use up, as none is used twice [TK-6].
    pub questions_per_task_max: usize,
    /// A sealed `requestState`, in bytes [MR-6].
    pub request_state_bytes_max: usize,
    /// Requests that may wait for one call at once: one and its retries.
    pub followers_max: usize,
    /// Requests that may wait for the result of one task at once.
    pub waiters_max: usize,
    /// Commands waiting for one actor.
    pub mailbox_len_max: usize,
    /// Changes waiting for one slow follower of tasks before it is cut off.
    pub updates_len_max: usize,
}

impl Config {
    /// The defaults, with the bounds that a node sets for all its parts.
    pub fn with_limits(limits: &Limits) -> Self {
        Self {
            unfinished_per_principal_max: limits.tasks_per_principal_max,
            unfinished_per_tenant_max: limits.tasks_per_tenant_max,
            rounds_max: limits.ask_rounds_max,
            request_state_bytes_max: limits.request_state_bytes_max,
            ..Self::default()
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            park_timeout: Duration::from_secs(10 * 60),
            task_ttl: Duration::from_secs(60 * 60),
            task_ttl_max: Duration::from_secs(24 * 60 * 60),
            result_keep: Duration::from_secs(15 * 60),
            poll_interval: Duration::from_secs(1),
            cancel_grace: Duration::from_secs(5),
            rebind_grace: Duration::from_secs(30),
            store_retry: Duration::from_secs(1),
            unfinished_per_principal_max: limits.tasks_per_principal_max,
            unfinished_per_tenant_max: limits.tasks_per_tenant_max,
            rounds_max: limits.ask_rounds_max,
            questions_open_max: 64,
            questions_per_task_max: 1_024,
            request_state_bytes_max: limits.request_state_bytes_max,
            followers_max: 4,
            waiters_max: 16,
            mailbox_len_max: 64,
            updates_len_max: 64,
        }
    }
}
