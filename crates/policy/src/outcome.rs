//! What an attempt's end means: the table of outcome classes as code, one function a column.
//!
//! Every match names every class, so that a new class is decided on everywhere. Nothing here looks at a provider or
//! at the state of a call.

use types::outcome::{Failure, OutcomeClass, Scope, TimeoutKind};

use crate::breaker::Verdict;
use crate::rest::RestReason;
use crate::route::Retries;

/// Whether another target may be tried after an attempt of a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallsBack {
    /// It may.
    Yes,
    /// It may not: the call ends.
    No,
    /// Only one with a larger context window.
    LargerWindow,
    /// Only when the route says `on_content_filter: fallback`.
    IfRouteSays,
}

/// How often the same target may be tried again in one visit, before the commit.
///
/// `configured.default` replaces every 1 of the table and never a 0; `configured.by_class` sets a class, save those
/// for which trying again can only do harm (bad credentials, bad requests, policy).
pub fn retries(class: OutcomeClass, timeout: Option<TimeoutKind>, configured: &Retries) -> u32 {
    let table = match class {
        OutcomeClass::RateLimited
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        // Before the commit a broken stream is a broken connection: nobody has seen anything of it.
        | OutcomeClass::StreamBroken => 1,
        OutcomeClass::Timeout => match timeout {
            Some(TimeoutKind::Connect) => 1,
            Some(TimeoutKind::FirstToken | TimeoutKind::Idle) | None => 0,
            // Their time is up: there is none left to try again in.
            Some(TimeoutKind::Total | TimeoutKind::Deadline) => return 0,
        },
        OutcomeClass::Success
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => return 0,
    };
    let set = configured.by_class.iter().find(|(c, _)| *c == class);
    match (set, configured.default) {
        (Some((_, n)), _) => *n,
        (None, Some(n)) if table > 0 => n,
        (None, _) => table,
    }
}

/// Whether another target may be tried.
pub fn falls_back(class: OutcomeClass) -> FallsBack {
    match class {
        OutcomeClass::RateLimited
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken
        | OutcomeClass::Unsupported => FallsBack::Yes,
        OutcomeClass::ContextTooLong => FallsBack::LargerWindow,
        OutcomeClass::ContentFiltered => FallsBack::IfRouteSays,
        OutcomeClass::Success | OutcomeClass::InvalidRequest | OutcomeClass::Cancelled => FallsBack::No,
    }
}

/// Whether a stream that ended like this after its commit may be continued by another target.
pub fn resumes(class: OutcomeClass) -> bool {
    match class {
        OutcomeClass::RateLimited
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::BadResponse
        | OutcomeClass::StreamBroken
        // Of a continuation that another target cannot say; the stream itself cannot end like this.
        | OutcomeClass::Unsupported => true,
        // A continuation's longer prompt may not fit where another's does.
        OutcomeClass::ContextTooLong => true,
        OutcomeClass::Success
        | OutcomeClass::MalformedOutput
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Cancelled => false,
    }
}

/// What the breaker is told.
pub fn counts(class: OutcomeClass, timeout: Option<TimeoutKind>) -> Verdict {
    match class {
        OutcomeClass::Success => Verdict::Success,
        OutcomeClass::RateLimited => Verdict::RateLimited,
        OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::BadResponse
        | OutcomeClass::StreamBroken => Verdict::Failure,
        OutcomeClass::Timeout => match timeout {
            // The deadline's end is nobody's fault.
            Some(TimeoutKind::Deadline) => Verdict::Neutral,
            Some(TimeoutKind::Connect | TimeoutKind::FirstToken | TimeoutKind::Idle | TimeoutKind::Total) | None => {
                Verdict::Failure
            }
        },
        OutcomeClass::QuotaExhausted
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::MalformedOutput
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => Verdict::Neutral,
    }
}

/// Who rests, and why. `None` when nobody was told to.
pub fn rest(failure: &Failure) -> Option<(Scope, RestReason)> {
    match failure.class {
        OutcomeClass::RateLimited => Some((failure.scope, RestReason::RateLimited)),
        OutcomeClass::QuotaExhausted => match failure.scope {
            // Some providers count a quota by model: the credential's other targets go on.
            Scope::CredentialAtTarget => Some((Scope::CredentialAtTarget, RestReason::QuotaExhausted)),
            Scope::Credential | Scope::Target | Scope::Provider => {
                Some((Scope::Credential, RestReason::QuotaExhausted))
            }
        },
        OutcomeClass::Auth => match (failure.scope, failure.status) {
            (Scope::CredentialAtTarget, _) | (Scope::Target | Scope::Provider, Some(403)) => {
                Some((Scope::CredentialAtTarget, RestReason::Forbidden))
            }
            (Scope::Credential | Scope::Target | Scope::Provider, _) => Some((Scope::Credential, RestReason::Auth)),
        },
        OutcomeClass::ModelNotFound => Some((Scope::Target, RestReason::ModelMissing)),
        OutcomeClass::Success
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => None,
    }
}

/// Whether someone should be told: waiting does not mend it.
pub fn alerts(class: OutcomeClass) -> bool {
    match class {
        OutcomeClass::QuotaExhausted | OutcomeClass::Auth | OutcomeClass::ModelNotFound => true,
        OutcomeClass::Success
        | OutcomeClass::RateLimited
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::BadResponse
        | OutcomeClass::MalformedOutput
        | OutcomeClass::StreamBroken
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => false,
    }
}

/// Whether waiting may help the client: then it is told when to come again.
pub fn waiting_helps(class: OutcomeClass) -> bool {
    match class {
        OutcomeClass::RateLimited
        | OutcomeClass::QuotaExhausted
        | OutcomeClass::Overloaded
        | OutcomeClass::ServerError
        | OutcomeClass::Network
        | OutcomeClass::Timeout
        | OutcomeClass::BadResponse
        | OutcomeClass::StreamBroken => true,
        OutcomeClass::Success
        | OutcomeClass::Auth
        | OutcomeClass::ModelNotFound
        | OutcomeClass::MalformedOutput
        | OutcomeClass::ContextTooLong
        | OutcomeClass::ContentFiltered
        | OutcomeClass::InvalidRequest
        | OutcomeClass::Unsupported
        | OutcomeClass::Cancelled => false,
    }
}

/// Whether this failure says more to the client than the one before it. A target that merely could not take the call
/// (its dialect or its window is smaller) does not hide why a better one failed.
pub fn decisive(class: OutcomeClass, before: OutcomeClass) -> bool {
    let only_here = |c| matches!(c, OutcomeClass::Unsupported | OutcomeClass::ContextTooLong);
    !only_here(class) || only_here(before)
}

/// Whether the failure is the credential's rather than the target's, so that another credential of the same target
/// may do.
pub fn is_of_credential(failure: &Failure) -> bool {
    matches!(rest(failure), Some((Scope::Credential | Scope::CredentialAtTarget, _)))
}

/// Whether the provider could not even be reached with this attempt.
pub fn is_connect_failure(failure: &Failure) -> bool {
    failure.timeout == Some(TimeoutKind::Connect)
        || (failure.class == OutcomeClass::Network && failure.scope == Scope::Provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of classes, one row each: retries; another target; the breaker; who rests; alert; waiting; resumes.
    const TABLE: &str = "
        success           0 No           Success     -                              -     -    -
        rate_limited      1 Yes          RateLimited Target:rate_limited            -     wait resume
        quota_exhausted   0 Yes          Neutral     Credential:quota_exhausted     alert wait resume
        overloaded        1 Yes          Failure     -                              -     wait resume
        server_error      1 Yes          Failure     -                              -     wait resume
        network           1 Yes          Failure     -                              -     wait resume
        timeout           0 Yes          Failure     -                              -     wait resume
        auth              0 Yes          Neutral     Credential:auth                alert -    resume
        model_not_found   0 Yes          Neutral     Target:model_missing           alert -    resume
        bad_response      1 Yes          Failure     -                              -     wait resume
        malformed_output  1 Yes          Neutral     -                              -     -    -
        stream_broken     1 Yes          Failure     -                              -     wait resume
        context_too_long  0 LargerWindow Neutral     -                              -     -    resume
        content_filtered  0 IfRouteSays  Neutral     -                              -     -    -
        invalid_request   0 No           Neutral     -                              -     -    -
        unsupported       0 Yes          Neutral     -                              -     -    resume
        cancelled         0 No           Neutral     -                              -     -    -";

    #[test]
    fn every_class_is_decided_on_as_the_table_says() {
        let word = |yes: bool, word: &'static str| if yes { word } else { "-" };
        let rows = OutcomeClass::ALL.map(|class| {
            let rests =
                rest(&Failure::new(class, "")).map_or("-".into(), |(scope, why)| format!("{scope:?}:{}", why.as_str()));
            format!(
                "{} {} {:?} {:?} {rests} {} {} {}",
                class.as_str(),
                retries(class, None, &Retries::default()),
                falls_back(class),
                counts(class, None),
                word(alerts(class), "alert"),
                word(waiting_helps(class), "wait"),
                word(resumes(class), "resume"),
            )
        });
        let table = TABLE.lines().skip(1);
        let table = table.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "));
        assert_eq!(rows.to_vec(), table.collect::<Vec<_>>());
    }

    #[test]
    fn which_clock_fired_decides_on_retries_and_blame() {
        let set = Retries {
            default: None,
            by_class: vec![(OutcomeClass::Timeout, 1)],
        };
        for (kind, table, when_set, verdict) in [
            (TimeoutKind::Connect, 1, 1, Verdict::Failure),
            (TimeoutKind::FirstToken, 0, 1, Verdict::Failure),
            (TimeoutKind::Idle, 0, 1, Verdict::Failure),
            (TimeoutKind::Total, 0, 0, Verdict::Failure),
            (TimeoutKind::Deadline, 0, 0, Verdict::Neutral),
        ] {
            let class = OutcomeClass::Timeout;
            assert_eq!(retries(class, Some(kind), &Retries::default()), table);
            assert_eq!(retries(class, Some(kind), &set), when_set);
            assert_eq!(counts(class, Some(kind)), verdict);
        }
    }

    #[test]
    fn a_spent_quota_is_the_credentials_everywhere_unless_it_is_said_to_be_of_one_model() {
        for (scope, expected) in [
            (Scope::Target, Scope::Credential),
            (Scope::Credential, Scope::Credential),
            (Scope::Provider, Scope::Credential),
            (Scope::CredentialAtTarget, Scope::CredentialAtTarget),
        ] {
            let failure = Failure::new(OutcomeClass::QuotaExhausted, "").with_scope(scope);
            assert_eq!(rest(&failure), Some((expected, RestReason::QuotaExhausted)));
            assert!(is_of_credential(&failure), "another credential may do");
        }
    }

    #[test]
    fn a_401_is_the_credentials_everywhere_and_a_403_at_that_target_alone() {
        for (status, scope, expected) in [
            (Some(401), Scope::Target, Scope::Credential),
            (Some(400), Scope::Credential, Scope::Credential),
            (Some(403), Scope::Target, Scope::CredentialAtTarget),
            (Some(403), Scope::Credential, Scope::Credential),
            (None, Scope::CredentialAtTarget, Scope::CredentialAtTarget),
        ] {
            let failure = Failure {
                status,
                ..Failure::new(OutcomeClass::Auth, "").with_scope(scope)
            };
            assert_eq!(rest(&failure).unwrap().0, expected);
        }
    }
}
