//! How many requests come at once and in a second: of a principal, so that one does not starve the
//! others; for streams of a session, so that a client that comes back in a loop does so slowly.

use std::{
    hash::Hash,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use governor::{
    NotUntil, Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware, nanos::Nanos,
    state::keyed::DashMapStateStore,
};
use ostler_env::Env;
use ostler_protocol::fault::Fault;
use ostler_types::{Caller, Instant, Principal, SessionId, TenantId};

/// Those that sent nothing lately are forgotten after so many requests of all: the others
/// are at most as many.
const CHECKS_PER_CLEANING: u32 = 1 << 16;

/// Requests of each principal.
pub type PrincipalRates = Rates<(TenantId, Principal)>;
/// GETs for streams of each session.
pub type ReconnectRates = Rates<SessionId>;

/// The rates of all.
pub struct Rates<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DashMapStateStore<K>, EnvClock, NoOpMiddleware<Nanos>>,
    clock: EnvClock,
    at_once: NonZeroU32,
    checks: AtomicU32,
}

impl PrincipalRates {
    /// `per_second` requests in a second, and as many at once; at least one.
    pub fn per_second(env: &Env, per_second: usize) -> Self {
        Self::new(env, Quota::per_second(number(per_second)))
    }

    /// Counts one request.
    pub fn check(&self, caller: &Caller) -> Result<(), Fault> {
        self.count(key(caller), NonZeroU32::MIN)
    }

    /// Counts the messages of a batch, of which the first was counted already: all or none of the
    /// others. One that could never pass is not told to try again.
    pub fn check_batch(&self, caller: &Caller, messages: usize) -> Result<(), Fault> {
        let more = u32::try_from(messages.saturating_sub(1)).unwrap_or(u32::MAX);
        let Some(more) = NonZeroU32::new(more) else {
            return Ok(());
        };
        if more >= self.at_once {
            let reason = format!("a batch has at most {} messages here", self.at_once);
            return Err(Fault::InvalidRequest(reason));
        }
        self.count(key(caller), more)
    }
}

impl ReconnectRates {
    /// `at_once` of them, at least one; then one in a second.
    pub fn slow(env: &Env, at_once: usize) -> Self {
        let each_second = Quota::with_period(Duration::from_secs(1));
        let each_second = each_second.expect("a second is no zero");
        Self::new(env, each_second.allow_burst(number(at_once)))
    }

    /// Counts one GET.
    pub fn check(&self, session: SessionId) -> Result<(), Fault> {
        self.count(session, NonZeroU32::MIN)
    }
}

fn key(caller: &Caller) -> (TenantId, Principal) {
    (caller.tenant().clone(), caller.principal().clone())
}

fn number(number: usize) -> NonZeroU32 {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

impl<K: Hash + Eq + Clone> Rates<K> {
    fn new(env: &Env, quota: Quota) -> Self {
        let clock = EnvClock(env.clone());
        let store = DashMapStateStore::default();
        Self {
            at_once: quota.burst_size(),
            limiter: RateLimiter::new(quota, store, clock.clone()),
            clock,
            checks: AtomicU32::new(0),
        }
    }

    fn count(&self, key: K, requests: NonZeroU32) -> Result<(), Fault> {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks.is_multiple_of(CHECKS_PER_CLEANING) {
            self.limiter.retain_recent();
        }
        let checked = self.limiter.check_key_n(&key, requests);
        let checked = checked.map_err(|_| Fault::Internal("more than may come at once".into()))?;
        checked.map_err(|wait: NotUntil<Nanos>| Fault::RateLimited {
            retry_after: wait.wait_time_from(self.clock.now()),
        })
    }
}

/// The clock of this world, as the limiter wants it.
#[derive(Clone)]
struct EnvClock(Env);

impl Clock for EnvClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.now().since(Instant::default()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ostler_types::Identity;

    use super::*;

    fn caller(tenant: &str, subject: &str) -> Caller {
        let identity = Identity {
            tenant: TenantId::parse(tenant).unwrap(),
            principal: Principal {
                issuer: "key".into(),
                subject: subject.into(),
                client: "".into(),
            },
            scopes: Arc::new([]),
            valid_until: None,
            credential: "".into(),
        };
        Caller {
            identity: Arc::new(identity),
            session: None,
            trace: None,
            deadline: Instant(u64::MAX),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_too_much_waits_and_nobody_else_does() {
        let env = Env::seeded(1);
        let rates = PrincipalRates::per_second(&env, 2);
        let ann = caller("acme", "ann");
        assert_eq!(rates.check(&ann), Ok(()));
        assert_eq!(rates.check(&ann), Ok(()));
        let retry_after = Duration::from_millis(500);
        assert_eq!(rates.check(&ann), Err(Fault::RateLimited { retry_after }));
        for other in [caller("acme", "bob"), caller("other", "ann")] {
            assert_eq!(rates.check(&other), Ok(()));
        }
        env.sleep(retry_after).await;
        assert_eq!(rates.check(&ann), Ok(()));
        assert!(rates.check(&ann).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_counts_as_a_whole_and_passes_if_it_ever_could() {
        let env = Env::seeded(1);
        let rates = PrincipalRates::per_second(&env, 4);
        let ann = caller("acme", "ann");
        let batch = |messages| {
            rates.check(&ann)?;
            rates.check_batch(&ann, messages)
        };
        assert_eq!(batch(4), Ok(()));
        let refused = batch(4).unwrap_err();
        assert!(matches!(refused, Fault::RateLimited { .. }), "{refused}");
        for _ in 0..3 {
            env.sleep(Duration::from_secs(1)).await;
            let refused = batch(5).unwrap_err();
            assert!(matches!(refused, Fault::InvalidRequest(_)), "{refused}");
        }
        env.sleep(Duration::from_secs(1)).await;
        assert_eq!(batch(4), Ok(()));
        assert_eq!(
            batch(1),
            Err(Fault::RateLimited {
                retry_after: Duration::from_millis(250)
            })
        );
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_back_in_a_loop_is_slowed_down() {
        let env = Env::seeded(1);
        let rates = ReconnectRates::slow(&env, 3);
        let session = SessionId([1; 24]);
        let mut taken = 0;
        for _ in 0..600 {
            taken += usize::from(rates.check(session).is_ok());
            env.sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(taken, 3 + 2);
    }

    #[tokio::test(start_paused = true)]
    async fn principals_that_went_away_are_forgotten() {
        let env = Env::seeded(1);
        let rates = PrincipalRates::per_second(&env, 1_000);
        for n in 1..CHECKS_PER_CLEANING {
            rates.check(&caller("acme", &n.to_string())).unwrap();
        }
        assert!(rates.limiter.len() > 1_000);
        env.sleep(Duration::from_secs(2)).await;
        rates.check(&caller("acme", "last")).unwrap();
        rates.check(&caller("acme", "last")).unwrap();
        assert_eq!(rates.limiter.len(), 1);
    }
}
