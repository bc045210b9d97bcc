//! Windows of a budget: hours, days, weeks and months of the clock that hangs on a zone's wall.
//!
//! Windows follow one another without a gap or an overlap, across every change of a clock. A day goes from the first moment of a
//! date to the first moment of the next one, which is 23 to 25 hours; a date that a zone left out has none. A week begins on
//! Monday. An hour goes from one full hour of the local clock to the next, and ends where the clock is changed in its midst, so
//! an hour that the clock runs twice is two windows. Zones come with the program: nothing is read from the machine.

use std::fmt;
use std::sync::Arc;

use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, ToSpan};
use types::spend::BudgetWindow;
use types::time::UnixMillis;

use crate::spend::BudgetPolicy;

/// The last moment that is told apart: beyond it calendars end.
const LAST_MS: u64 = 253_370_764_800_000;
const HOUR_S: i64 = 3_600;

/// How long a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first of a month to the first of the next.
    Month,
}

/// A time zone by its name in the IANA database.
#[derive(Clone)]
pub struct Zone {
    name: Arc<str>,
    zone: TimeZone,
}

/// Why a text is no [`Zone`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAZone(pub String);

impl Window {
    /// All.
    pub const ALL: [Window; 4] = [Window::Hour, Window::Day, Window::Week, Window::Month];

    /// As the configuration and logs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Window::Hour => "hour",
            Window::Day => "day",
            Window::Week => "week",
            Window::Month => "month",
        }
    }

    /// Reads [`Window::as_str`] back.
    pub fn parse(text: &str) -> Option<Window> {
        Window::ALL.into_iter().find(|w| w.as_str() == text)
    }
}

impl Zone {
    /// Universal time.
    pub fn utc() -> Zone {
        Zone {
            name: "UTC".into(),
            zone: TimeZone::UTC,
        }
    }

    /// Reads a name such as `Europe/Zurich` or `UTC`, in any case of letters.
    pub fn parse(name: &str) -> Result<Zone, NotAZone> {
        if name.eq_ignore_ascii_case("utc") {
            return Ok(Zone::utc());
        }
        let zone = TimeZoneDatabase::bundled()
            .get(name)
            .map_err(|_| NotAZone(name.to_owned()))?;
        Ok(Zone {
            name: zone.iana_name().unwrap_or(name).into(),
            zone,
        })
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Zone) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.name)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Display for NotAZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no time zone: write one like `Europe/Zurich` or `UTC`",
            self.0
        )
    }
}

impl std::error::Error for NotAZone {}

/// The window of a budget that a moment lies in: `start ≤ at < end`. A window that began before 1970 begins with it.
pub fn window_at(policy: &BudgetPolicy, at: UnixMillis) -> BudgetWindow {
    let second = i64::try_from(at.0.min(LAST_MS) / 1_000).expect("the last moment fits");
    let at = Timestamp::from_second(second).expect("within the calendar");
    let (start, end) = match policy.window {
        Window::Hour => hour(&policy.zone.zone, at),
        Window::Day | Window::Week | Window::Month => dates(&policy.zone.zone, policy.window, at),
    };
    let millis = |t: Timestamp| UnixMillis(u64::try_from(t.as_millisecond()).unwrap_or(0));
    BudgetWindow {
        budget: policy.id.clone(),
        start: millis(start),
        end: millis(end),
    }
}

fn hour(zone: &TimeZone, at: Timestamp) -> (Timestamp, Timestamp) {
    let offset = zone.to_offset(at);
    let seconds = i64::from(offset.seconds());
    let start = (at.as_second() + seconds).div_euclid(HOUR_S) * HOUR_S - seconds;
    let second = |s| Timestamp::from_second(s).expect("within the calendar");
    let (start, end) = (second(start), second(start + HOUR_S));
    // Only a change of the clock itself ends an hour; some transitions change a name alone.
    let changed_within = zone
        .preceding(end)
        .map(|t| (t.timestamp(), t.offset()))
        .take_while(|(t, _)| *t > start)
        .collect::<Vec<_>>();
    let (mut from, mut to) = (start, end);
    for (when, after) in changed_within {
        if when <= at && after == offset && zone.to_offset(before(when)) != offset {
            from = from.max(when);
        } else if when > at && after != offset {
            to = to.min(when);
        }
    }
    (from, to)
}

fn before(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second() - 1).expect("within the calendar")
}

/// Windows that begin with a date.
fn dates(zone: &TimeZone, window: Window, at: Timestamp) -> (Timestamp, Timestamp) {
    let date = zone.to_datetime(at).date();
    let mut first = match window {
        Window::Hour | Window::Day => date,
        Window::Week => plus(date, Window::Day, -i64::from(date.weekday().to_monday_zero_offset())),
        Window::Month => date.first_of_month(),
    };
    let mut start = first_moment(zone, first);
    // Where a clock is set back across midnight, a date comes again after the next one has begun.
    loop {
        let next = plus(first, window, 1);
        let end = first_moment(zone, next);
        if at < end {
            return (start, end);
        }
        (first, start) = (next, end);
    }
}

fn plus(date: Date, window: Window, count: i64) -> Date {
    let span = match window {
        Window::Hour | Window::Day => count.days(),
        Window::Week => count.weeks(),
        Window::Month => count.months(),
    };
    date.saturating_add(span)
}

/// The first moment of a date: its first midnight, or where midnight was left out, the moment at which the clock was set forward.
fn first_moment(zone: &TimeZone, date: Date) -> Timestamp {
    let midnight = date.to_datetime(Time::midnight());
    let ambiguous = zone.to_ambiguous_timestamp(midnight);
    let within = "within the calendar";
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            offset.to_timestamp(midnight).expect(within)
        }
        AmbiguousOffset::Gap { before, after } => {
            let not_later = before.to_timestamp(midnight).expect(within);
            let earlier = after.to_timestamp(midnight).expect(within);
            let change = zone.following(earlier).next().map(|t| t.timestamp());
            change.map_or(not_later, |change| change.min(not_later))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use types::ids::BudgetId;
    use types::money::NanoDollars;

    use super::*;

    fn policy(zone: &str, window: Window) -> BudgetPolicy {
        BudgetPolicy {
            zone: Zone::parse(zone).unwrap(),
            ..BudgetPolicy::new(BudgetId::from("b"), NanoDollars(1), window)
        }
    }

    fn millis(text: &str) -> UnixMillis {
        UnixMillis(text.parse::<Timestamp>().unwrap().as_millisecond() as u64)
    }

    /// A window as its beginning and end in universal time, and its length in minutes.
    fn window(zone: &str, window: Window, at: &str) -> (String, String, u64) {
        let found = window_at(&policy(zone, window), millis(at));
        let text = |at: UnixMillis| Timestamp::from_millisecond(at.0 as i64).unwrap().to_string();
        (
            text(found.start),
            text(found.end),
            (found.end.0 - found.start.0) / 60_000,
        )
    }

    #[test]
    fn a_window_goes_from_the_local_clocks_boundary_to_the_next_across_every_change_of_the_clock() {
        use Window::{Day, Hour, Month, Week};
        for (zone, length, at, start, end, minutes) in [
            (
                "UTC",
                Day,
                "2026-11-21T18:12:06Z",
                "2026-11-21T00:00:00Z",
                "2026-11-22T00:00:00Z",
                1440,
            ),
            (
                "utc",
                Hour,
                "2026-11-21T18:12:06Z",
                "2026-11-21T18:00:00Z",
                "2026-11-21T19:00:00Z",
                60,
            ),
            (
                "UTC",
                Day,
                "2026-11-21T00:00:00Z",
                "2026-11-21T00:00:00Z",
                "2026-11-22T00:00:00Z",
                1440,
            ),
            (
                "UTC",
                Day,
                "2026-11-20T23:59:59.999Z",
                "2026-11-20T00:00:00Z",
                "2026-11-21T00:00:00Z",
                1440,
            ),
            // Sunday belongs to the week that began on Monday.
            (
                "UTC",
                Week,
                "2026-11-22T23:59:59Z",
                "2026-11-16T00:00:00Z",
                "2026-11-23T00:00:00Z",
                10080,
            ),
            (
                "UTC",
                Week,
                "2026-11-23T00:00:00Z",
                "2026-11-23T00:00:00Z",
                "2026-11-30T00:00:00Z",
                10080,
            ),
            (
                "UTC",
                Month,
                "2028-02-29T12:00:00Z",
                "2028-02-01T00:00:00Z",
                "2028-03-01T00:00:00Z",
                29 * 1440,
            ),
            (
                "UTC",
                Month,
                "2026-12-31T23:59:59Z",
                "2026-12-01T00:00:00Z",
                "2027-01-01T00:00:00Z",
                31 * 1440,
            ),
            // Zürich: 23 hours on the last Sunday of March, 25 on that of October.
            (
                "Europe/Zurich",
                Day,
                "2026-03-29T12:00:00Z",
                "2026-03-28T23:00:00Z",
                "2026-03-29T22:00:00Z",
                1380,
            ),
            (
                "Europe/Zurich",
                Day,
                "2026-10-25T12:00:00Z",
                "2026-10-24T22:00:00Z",
                "2026-10-25T23:00:00Z",
                1500,
            ),
            (
                "europe/zurich",
                Week,
                "2026-03-29T12:00:00Z",
                "2026-03-22T23:00:00Z",
                "2026-03-29T22:00:00Z",
                10020,
            ),
            (
                "Europe/Zurich",
                Month,
                "2026-10-25T12:00:00Z",
                "2026-09-30T22:00:00Z",
                "2026-10-31T23:00:00Z",
                31 * 1440 + 60,
            ),
            // The hour that is run twice is two; the one left out is none.
            (
                "Europe/Zurich",
                Hour,
                "2026-10-25T00:30:00Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T01:00:00Z",
                60,
            ),
            (
                "Europe/Zurich",
                Hour,
                "2026-10-25T01:30:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T02:00:00Z",
                60,
            ),
            (
                "Europe/Zurich",
                Hour,
                "2026-03-29T00:59:59Z",
                "2026-03-29T00:00:00Z",
                "2026-03-29T01:00:00Z",
                60,
            ),
            (
                "Europe/Zurich",
                Hour,
                "2026-03-29T01:00:00Z",
                "2026-03-29T01:00:00Z",
                "2026-03-29T02:00:00Z",
                60,
            ),
            (
                "America/New_York",
                Day,
                "2026-03-08T12:00:00Z",
                "2026-03-08T05:00:00Z",
                "2026-03-09T04:00:00Z",
                1380,
            ),
            (
                "America/New_York",
                Day,
                "2026-11-01T12:00:00Z",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
                1500,
            ),
            // Hours of zones that are half an hour or a quarter off.
            (
                "Asia/Kolkata",
                Hour,
                "2026-06-01T12:00:00Z",
                "2026-06-01T11:30:00Z",
                "2026-06-01T12:30:00Z",
                60,
            ),
            (
                "Asia/Kathmandu",
                Day,
                "2026-06-01T18:20:00Z",
                "2026-06-01T18:15:00Z",
                "2026-06-02T18:15:00Z",
                1440,
            ),
            // Lord Howe changes by half an hour: forward at 2:00, back at 2:00.
            (
                "Australia/Lord_Howe",
                Hour,
                "2026-10-03T15:29:00Z",
                "2026-10-03T14:30:00Z",
                "2026-10-03T15:30:00Z",
                60,
            ),
            (
                "Australia/Lord_Howe",
                Hour,
                "2026-10-03T15:31:00Z",
                "2026-10-03T15:30:00Z",
                "2026-10-03T16:00:00Z",
                30,
            ),
            (
                "Australia/Lord_Howe",
                Hour,
                "2026-04-04T14:59:00Z",
                "2026-04-04T14:00:00Z",
                "2026-04-04T15:00:00Z",
                60,
            ),
            (
                "Australia/Lord_Howe",
                Hour,
                "2026-04-04T15:01:00Z",
                "2026-04-04T15:00:00Z",
                "2026-04-04T15:30:00Z",
                30,
            ),
            (
                "Australia/Lord_Howe",
                Day,
                "2026-04-05T00:00:00Z",
                "2026-04-04T13:00:00Z",
                "2026-04-05T13:30:00Z",
                1470,
            ),
            // Midnight was left out: the day began at one.
            (
                "America/Sao_Paulo",
                Day,
                "2018-11-04T12:00:00Z",
                "2018-11-04T03:00:00Z",
                "2018-11-05T02:00:00Z",
                1380,
            ),
            (
                "America/Sao_Paulo",
                Day,
                "2018-11-04T02:59:59Z",
                "2018-11-03T03:00:00Z",
                "2018-11-04T03:00:00Z",
                1440,
            ),
            (
                "Asia/Beirut",
                Day,
                "2026-03-29T12:00:00Z",
                "2026-03-28T22:00:00Z",
                "2026-03-29T21:00:00Z",
                1380,
            ),
            // Midnight came twice: the day began with the first one.
            (
                "America/Havana",
                Day,
                "2026-11-01T05:30:00Z",
                "2026-11-01T04:00:00Z",
                "2026-11-02T05:00:00Z",
                1500,
            ),
            // At midnight the clock went back to eleven: the day before has 25 hours.
            (
                "America/Sao_Paulo",
                Day,
                "2018-02-18T02:30:00Z",
                "2018-02-17T02:00:00Z",
                "2018-02-18T03:00:00Z",
                1500,
            ),
            // A minute past midnight it went back to the day before: that hour belongs to the day that had begun.
            (
                "America/St_Johns",
                Day,
                "2010-11-07T03:00:00Z",
                "2010-11-07T02:30:00Z",
                "2010-11-08T03:30:00Z",
                1500,
            ),
            // Samoa left out the 30th of December.
            (
                "Pacific/Apia",
                Day,
                "2011-12-30T09:59:59Z",
                "2011-12-29T10:00:00Z",
                "2011-12-30T10:00:00Z",
                1440,
            ),
            (
                "Pacific/Apia",
                Day,
                "2011-12-30T10:00:00Z",
                "2011-12-30T10:00:00Z",
                "2011-12-31T10:00:00Z",
                1440,
            ),
            (
                "Pacific/Apia",
                Week,
                "2011-12-30T12:00:00Z",
                "2011-12-26T10:00:00Z",
                "2012-01-01T10:00:00Z",
                6 * 1440,
            ),
            // Months that begin with a change.
            (
                "America/Havana",
                Month,
                "2026-11-01T05:30:00Z",
                "2026-11-01T04:00:00Z",
                "2026-12-01T05:00:00Z",
                30 * 1440 + 60,
            ),
        ] {
            let expected = (start.to_owned(), end.to_owned(), minutes);
            assert_eq!(window(zone, length, at), expected, "{zone} {length:?} {at}");
        }
    }

    #[test]
    fn the_beginning_and_the_end_of_all_calendars_are_windows_too() {
        for zone in ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"] {
            for length in Window::ALL {
                let first = window_at(&policy(zone, length), UnixMillis(0));
                assert!(first.start == UnixMillis(0) && first.end > UnixMillis(0), "{first:?}");
                window_at(&policy(zone, length), UnixMillis(u64::MAX));
            }
        }
    }

    #[test]
    fn zones_are_known_by_their_names_whatever_the_machine_has() {
        assert_eq!(Zone::parse("europe/zurich").unwrap().as_str(), "Europe/Zurich");
        assert_eq!(Zone::parse("UTC"), Ok(Zone::utc()));
        for wrong in ["", "Mars/Olympus", "+02:00", "CEST+2", "../etc/passwd"] {
            let told = Zone::parse(wrong).unwrap_err().to_string();
            assert!(told.contains("Europe/Zurich") && told.contains(wrong), "{told}");
        }
        for window in Window::ALL {
            assert_eq!(Window::parse(window.as_str()), Some(window));
        }
    }

    const ZONES: &[&str] = &[
        "UTC",
        "Europe/Zurich",
        "America/New_York",
        "America/St_Johns",
        "America/Havana",
        "America/Sao_Paulo",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Asia/Beirut",
        "Africa/Casablanca",
        "Antarctica/Troll",
    ];

    proptest! {
        #[test]
        fn windows_follow_one_another_and_each_moment_lies_in_exactly_one(
            zone in 0..ZONES.len(), length in 0..4_usize, at in 0..2_500_000_000_000_u64,
        ) {
            let policy = policy(ZONES[zone], Window::ALL[length]);
            let found = window_at(&policy, UnixMillis(at));
            prop_assert!(found.start.0 <= at && at < found.end.0);
            for inside in [found.start.0, found.end.0 - 1, found.start.0 + (found.end.0 - found.start.0) / 2] {
                prop_assert_eq!(&window_at(&policy, UnixMillis(inside)), &found);
            }
            prop_assert_eq!(window_at(&policy, found.end).start, found.end);
            if found.start.0 > 0 {
                prop_assert_eq!(window_at(&policy, UnixMillis(found.start.0 - 1)).end, found.start);
            }
        }
    }
}
