//! How long the service asks to wait, from the headers of a refusal.

use std::time::Duration;

use http::HeaderMap;
use http::header::RETRY_AFTER;
use specwright_shared::time::Timestamp;

/// When the usage limit of a subscription is set back: seconds since 1970.
const UNIFIED_RESET: &str = "anthropic-ratelimit-unified-reset";

/// `retry-after` in seconds or as a date, else the usage limit's own time.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |value: &http::HeaderValue| value.to_str().ok().map(str::trim).map(str::to_owned);
    let asked = headers.get(RETRY_AFTER).and_then(text).and_then(|text| {
        let date = || chrono::DateTime::parse_from_rfc2822(&text).ok();
        text.parse()
            .map(Duration::from_secs)
            .ok()
            .or_else(|| Some(Timestamp::from(date()?.to_utc()).since(now)))
    });
    asked.or_else(|| {
        let reset: i64 = text(headers.get(UNIFIED_RESET)?)?.parse().ok()?;
        Some(Timestamp::from_micros(reset.saturating_mul(1_000_000)).since(now))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn waits(pairs: &[(&'static str, &'static str)]) -> Option<u64> {
        let headers = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        // 2026-11-22T12:00:00Z
        retry_after(&headers, Timestamp::from_micros(1_795_348_800_000_000)).map(|d| d.as_secs())
    }

    #[test]
    fn seconds_dates_and_the_usage_limits_own_time_are_understood() {
        assert_eq!(waits(&[("retry-after", "17")]), Some(17));
        assert_eq!(waits(&[("retry-after", "Sun, 22 Nov 2026 12:01:00 GMT")]), Some(60));
        assert_eq!(waits(&[("retry-after", "Sun, 22 Nov 2026 11:00:00 GMT")]), Some(0));
        assert_eq!(waits(&[(UNIFIED_RESET, "1795352400")]), Some(3600));
        assert_eq!(waits(&[("retry-after", "2"), (UNIFIED_RESET, "1795352400")]), Some(2));
        assert_eq!(waits(&[("retry-after", "soon")]), None);
        assert_eq!(waits(&[]), None);
    }
}
