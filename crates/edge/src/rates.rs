//! How many requests a principal may send in a second, so that one does not starve the others.

use std::{
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

use governor::{
    NotUntil, Quota, RateLimiter, clock::Clock, middleware::NoOpMiddleware, nanos::Nanos,
    state::keyed::DashMapStateStore,
};
use ostler_env::Env;
use ostler_protocol::fault::Fault;
use ostler_types::{Caller, Instant, Principal, TenantId};

/// Principals that sent nothing lately are forgotten after so many requests of all: the others
/// are at most as many.
const CHECKS_PER_CLEANING: u32 = 1 << 16;

type Key = (TenantId, Principal);

/// The rates of all principals.
pub struct Rates {
    limiter: RateLimiter<Key, DashMapStateStore<Key>, EnvClock, NoOpMiddleware<Nanos>>,
    clock: EnvClock,
    checks: AtomicU32,
}

impl Rates {
    /// `per_second` requests in a second, and as many at once; at least one.
    pub fn new(env: &Env, per_second: usize) -> Self {
        let clock = EnvClock(env.clone());
        let store = DashMapStateStore::default();
        let per_second = u32::try_from(per_second).unwrap_or(u32::MAX);
        let quota = Quota::per_second(NonZeroU32::new(per_second).unwrap_or(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::new(quota, store, clock.clone()),
            clock,
            checks: AtomicU32::new(0),
        }
    }

    /// Counts one request.
    pub fn check(&self, caller: &Caller) -> Result<(), Fault> {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks.is_multiple_of(CHECKS_PER_CLEANING) {
            self.limiter.retain_recent();
        }
        let key = (caller.tenant().clone(), caller.principal().clone());
        let checked = self.limiter.check_key(&key);
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
    use std::{sync::Arc, time::Duration};

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
            trace: None,
            deadline: Instant(u64::MAX),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_sends_too_much_waits_and_nobody_else_does() {
        let env = Env::seeded(1);
        let rates = Rates::new(&env, 2);
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
    async fn principals_that_went_away_are_forgotten() {
        let env = Env::seeded(1);
        let rates = Rates::new(&env, 1_000);
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
