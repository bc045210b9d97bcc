//! What may be asked of the records.

use serde::{Deserialize, Serialize};
use types::ids::KeyId;
use types::record::{AttemptRecord, CallRecord};
use types::time::UnixMillis;

use crate::records::columns;

/// A page of something that is listed by time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Only what is before this id, in descending order; `None`: from the newest.
    pub before: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// Which calls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CallQuery {
    /// Not before this time.
    pub since: UnixMillis,
    /// Before this time; 0: no bound.
    pub until: UnixMillis,
    /// Of this key alone.
    pub key: Option<KeyId>,
    /// Of this route alone.
    pub route: Option<String>,
    /// Only what comes after this (time, id) in ascending order.
    pub after: Option<(UnixMillis, String)>,
    /// At most so many.
    pub limit: u32,
}

impl CallQuery {
    /// The same question, for what comes after this call.
    pub fn after_call(mut self, last: &CallRecord) -> CallQuery {
        self.after = Some((last.at, last.id.clone()));
        self
    }

    /// The same question, for what comes after this attempt: the id is `call#attempt`, because attempts of one call may end in
    /// the same millisecond. A call's id alone stands for the last of its attempts.
    pub fn after_attempt(mut self, last: &AttemptRecord) -> CallQuery {
        self.after = Some((last.at, format!("{}#{}", last.call, last.attempt)));
        self
    }

    /// The bounds as columns: of calls.
    pub(crate) fn bounds(&self) -> Bounds<(i64, &str)> {
        let after = self
            .after
            .as_ref()
            .map_or((-1, ""), |(at, id)| (columns::time(*at), id.as_str()));
        self.bounds_after(after.0, after)
    }

    /// The bounds as columns: of attempts.
    pub(crate) fn attempt_bounds(&self) -> Bounds<(i64, &str, i64)> {
        let Some((at, id)) = &self.after else {
            return self.bounds_after(-1, (-1, "", -1));
        };
        let split = id
            .rsplit_once('#')
            .and_then(|(call, attempt)| Some((call, attempt.parse().ok()?)));
        let (call, attempt) = split.unwrap_or((id, i64::MAX));
        self.bounds_after(columns::time(*at), (columns::time(*at), call, attempt))
    }

    fn bounds_after<A>(&self, at: i64, after: A) -> Bounds<A> {
        Bounds {
            // An index that knows only the time begins where the last page ended.
            since: columns::time(self.since).max(at),
            until: if self.until == UnixMillis(0) {
                i64::MAX
            } else {
                columns::time(self.until)
            },
            after,
        }
    }
}

/// A query's bounds as columns.
pub(crate) struct Bounds<A> {
    /// At or after.
    pub(crate) since: i64,
    /// Before.
    pub(crate) until: i64,
    /// Strictly after, in the order of the answer.
    pub(crate) after: A,
}

/// A response of the Responses API that a client may go on from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredResponse {
    /// `resp_…`.
    pub id: String,
    /// Whose it is.
    pub tenant: Option<String>,
    /// When it was stored.
    pub at: UnixMillis,
    /// When it may be forgotten.
    pub expires: UnixMillis,
    /// The conversation up to and with it, as a JSON array of items.
    pub items: String,
    /// The response as the client was given it.
    pub response: String,
    /// The ids of the items of its answer.
    pub item_ids: Vec<String>,
}
