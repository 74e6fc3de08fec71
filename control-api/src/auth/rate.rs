//! How many requests and events a token may send: one bucket of permits per token and class.
//!
//! What holds: only tokens that are known have a bucket, so there are never more than tokens; a
//! bucket that is full again is forgotten. The clock is an argument. Limits are per replica: behind a
//! balancer a token may send as many times more as there are replicas.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use specwright_shared::wire::problem::ProblemType;
use uuid::Uuid;

use crate::problem::Refusal;

/// From how many buckets on the full ones are forgotten.
const SWEEP_AT_FIRST: usize = 1024;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
/// As long as what they say gets: made for each answer, so it is not to grow step by step.
const HEADER_BYTES: usize = 64;

/// How fast permits come, and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Permits per second, in the long run.
    pub per_second: u32,
    /// The most that can be used at once.
    pub burst: u32,
}

impl Rate {
    /// The same with another speed; the most at once changes along.
    #[must_use]
    pub const fn at(self, per_second: u32) -> Self {
        let seconds = self.burst.div_ceil(if self.per_second == 0 { 1 } else { self.per_second });
        Self { per_second, burst: per_second.saturating_mul(seconds) }
    }

    /// At least as fast as this.
    #[must_use]
    pub const fn at_least(self, per_second: u32) -> Self {
        if self.per_second < per_second { self.at(per_second) } else { self }
    }
}

/// The limits of one control API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    /// Requests of a user's token: far above what a person or a page that polls sends.
    pub person: Rate,
    /// Requests of a sandbox: a worker sends a few a second, and many when it catches up.
    pub sandbox: Rate,
    /// Events of a sandbox: an agent makes a few dozen a second; a worker whose control API was away
    /// for an hour has caught up in a minute.
    pub events: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            person: Rate { per_second: 100, burst: 1000 },
            sandbox: Rate { per_second: 200, burst: 1000 },
            events: Rate { per_second: 2000, burst: 20_000 },
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Class {
    Person,
    Sandbox,
    Events,
}

impl Class {
    const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Sandbox => "sandbox",
            Self::Events => "events",
        }
    }
}

/// What a bucket has left, for the answer's headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    class: Class,
    rate: Rate,
    remaining: u32,
    /// Until the bucket is full again.
    full_in: Duration,
}

/// There were not enough permits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this token sends more than {} {} a second in the long run; the next may come in {} s",
    left.rate.per_second,
    if left.class == Class::Events { "events" } else { "requests" },
    wait.as_secs_f64().ceil().max(1.0)
)]
pub(crate) struct TooFast {
    /// What is there: not enough.
    left: Left,
    wait: Duration,
}

impl Refusal for TooFast {
    fn kind(&self) -> ProblemType {
        ProblemType::RateLimited
    }

    fn retry_after(&self) -> Option<Duration> {
        Some(self.wait)
    }

    fn tell(&self, headers: &mut HeaderMap) {
        self.left.tell(headers);
    }
}

impl Left {
    /// Says it in the answer (`RateLimit` and `RateLimit-Policy`, draft-ietf-httpapi-ratelimit-headers).
    /// What refused a request said it before.
    pub(crate) fn tell(self, headers: &mut HeaderMap) {
        let (name, Rate { per_second, burst }) = (self.class.word(), self.rate);
        let window = burst.div_ceil(per_second.max(1));
        let reset = self.full_in.as_secs_f64().ceil();
        let policy = format_args!("\"{name}\";q={burst};w={window}");
        let limit = format_args!("\"{name}\";r={};t={reset}", self.remaining);
        for (header, words) in [(POLICY, policy), (LIMIT, limit)] {
            let mut text = String::with_capacity(HEADER_BYTES);
            if write!(text, "{words}").is_ok()
                && let Ok(value) = HeaderValue::from_str(&text)
            {
                headers.entry(header).or_insert(value);
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    permits: f64,
    at: Instant,
    /// How many were refused since the last one that was taken.
    refused: u64,
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.permits =
            f64::from(rate.per_second).mul_add(passed, self.permits).min(f64::from(rate.burst));
        self.at = now;
    }
}

/// The buckets of one control API.
#[derive(Debug)]
pub(crate) struct Limiter {
    rates: Rates,
    buckets: Mutex<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    by_token: HashMap<(Class, Uuid), Bucket>,
    sweep_at: usize,
}

impl Limiter {
    pub(crate) fn new(rates: Rates) -> Self {
        let buckets = Buckets { by_token: HashMap::new(), sweep_at: SWEEP_AT_FIRST };
        Self { rates, buckets: Mutex::new(buckets) }
    }

    const fn rate(&self, class: Class) -> Rate {
        match class {
            Class::Person => self.rates.person,
            Class::Sandbox => self.rates.sandbox,
            Class::Events => self.rates.events,
        }
    }

    /// Takes permits out of a token's bucket.
    pub(crate) fn take(
        &self,
        class: Class,
        token: Uuid,
        permits: u32,
        now: Instant,
    ) -> Result<Left, TooFast> {
        let rate = self.rate(class);
        // A request that no full bucket could pay for waits for a full one.
        let price = f64::from(permits.min(rate.burst));
        // The map is valid between any two steps, also when a holder panicked.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.by_token.len() >= buckets.sweep_at {
            buckets.by_token.retain(|(class, _), bucket| {
                let rate = self.rate(*class);
                bucket.refill(rate, now);
                bucket.permits < f64::from(rate.burst)
            });
            buckets.sweep_at = SWEEP_AT_FIRST.max(buckets.by_token.len() * 2);
        }
        let full = Bucket { permits: f64::from(rate.burst), at: now, refused: 0 };
        let bucket = buckets.by_token.entry((class, token)).or_insert(full);
        bucket.refill(rate, now);
        let per_second = f64::from(rate.per_second.max(1));
        let left = |permits: f64| Left {
            class,
            rate,
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "between 0 and the burst, which is a u32"
            )]
            remaining: permits as u32,
            full_in: Duration::from_secs_f64((f64::from(rate.burst) - permits) / per_second),
        };
        if bucket.permits < price {
            bucket.refused += 1;
            let wait = Duration::from_secs_f64((price - bucket.permits) / per_second);
            return Err(TooFast { left: left(bucket.permits), wait });
        }
        if bucket.refused > 0 {
            tracing::warn!(
                class = class.word(), %token, refused = bucket.refused,
                "a token was slowed; so many of its requests were refused"
            );
            bucket.refused = 0;
        }
        bucket.permits -= price;
        Ok(left(bucket.permits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter {
        let rate = Rate { per_second: 10, burst: 20 };
        Limiter::new(Rates { person: rate, sandbox: rate, events: rate })
    }

    #[test]
    fn a_burst_is_taken_and_then_so_many_a_second() {
        let (limiter, token, start) = (limiter(), Uuid::from_u128(1), Instant::now());
        let take = |after_ms: u64, permits| {
            let now = start + Duration::from_millis(after_ms);
            limiter.take(Class::Person, token, permits, now)
        };
        for left in (0..20).rev() {
            assert_eq!(take(0, 1).unwrap().remaining, left);
        }
        let refused = take(0, 1).unwrap_err();
        assert_eq!(refused.wait, Duration::from_millis(100));
        assert!(refused.to_string().contains("more than 10 requests a second"), "{refused}");
        assert!(take(100, 1).is_ok() && take(100, 1).is_err(), "one more after a tenth");
        assert!(take(99, 1).is_err(), "a clock that went back gives nothing");
        let taken = (0..10_000).filter(|ms| take(100 + ms, 1).is_ok()).count();
        assert!((98..=101).contains(&taken), "{taken} in ten seconds");
        // Another class and another token have their own.
        assert!(limiter.take(Class::Events, token, 20, start).is_ok());
        assert!(limiter.take(Class::Person, Uuid::from_u128(2), 20, start).is_ok());
        // What no bucket could ever pay for is taken from a full one.
        assert!(limiter.take(Class::Person, Uuid::from_u128(3), 1000, start).is_ok());
    }

    #[test]
    fn ten_thousand_events_a_second_are_held_to_what_the_defaults_say() {
        let (limiter, token, start) = (Limiter::new(Rates::default()), Uuid::nil(), Instant::now());
        let (mut taken, mut refused) = (0_u32, 0_u32);
        // A minute of a hundred batches a second, of a hundred events each.
        for batch in 0..6_000_u64 {
            let now = start + Duration::from_millis(batch * 10);
            match limiter.take(Class::Events, token, 100, now) {
                Ok(_) => taken += 100,
                Err(_) => refused += 100,
            }
        }
        assert!((138_000..=140_000).contains(&taken), "20,000 at once and 2,000 a second: {taken}");
        assert_eq!(taken + refused, 600_000);
        // What it is told to wait for is enough for the same again.
        let end = start + Duration::from_mins(1);
        let wait = limiter.take(Class::Events, token, 2_000, end).unwrap_err().wait;
        limiter.take(Class::Events, token, 2_000, end + wait).unwrap();
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let (limiter, start) = (limiter(), Instant::now());
        for token in 0..5000 {
            let now = start + Duration::from_millis(token * 10);
            limiter.take(Class::Sandbox, Uuid::from_u128(token.into()), 1, now).unwrap();
        }
        let kept = limiter.buckets.lock().unwrap().by_token.len();
        assert!(kept < SWEEP_AT_FIRST + 100, "{kept} buckets are kept");
    }

    #[test]
    fn the_headers_name_policy_and_rest() {
        let left = limiter().take(Class::Person, Uuid::nil(), 5, Instant::now()).unwrap();
        let mut headers = HeaderMap::new();
        left.tell(&mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"person\";q=20;w=2");
        assert_eq!(headers["ratelimit"], "\"person\";r=15;t=1");
    }
}
